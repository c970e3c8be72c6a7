/** Whatever the bytes say: an answer comes, the same one in memory and in a file, and what is cut is not called whole. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { findingNames } from "../../src/containers/finding.ts";
import { tar } from "../fault/tar.ts";
import { sevenZip } from "../fuzz/seven-zip.ts";
import { inMemory, inspectBody, inspected, opened } from "./inspecting.ts";
import { ar, makeself, rpm } from "./made-packages.ts";
import { endRecord, type Headers, type MadeEntry, type MadeZip, madeZip } from "./made-zip.ts";
import { type ToolSample, toolSample } from "./tool-samples.ts";

const short = Buffer.from("no harm");
const tools = (
  [
    "many.7z",
    "bcj2.7z",
    "LZMA2.7z",
    "stdin.zip",
    "plain.arj",
    "enc.arj",
    "key.gpg",
    "key.asc",
    "enveloped.eml",
    "attachment.pdf",
    "four.bz2",
    "signed.eml",
    "streamed.p7m",
  ] as const satisfies readonly ToolSample[]
).map((name) => toolSample(name));
const seeds: readonly Buffer[] = [
  ...tools,
  madeZip([{ bytes: short }, { bytes: short, name: "b", hasDescriptor: true }], { isZip64: true, comment: short }),
  sevenZip([{ name: "a", bytes: short }]),
  ar(["a/", gzipSync(short)], ["b/", short]),
  rpm(zstdCompressSync(short)),
  makeself(gzipSync(short)),
  Buffer.concat([zstdCompressSync(short), zstdCompressSync(tar("a", zstdCompressSync(short)))]),
  Buffer.concat([gzipSync(short), madeZip([{ bytes: short }])]),
  Buffer.concat([tar("a", short), sevenZip([{ name: "a", bytes: short }])]),
  Buffer.concat([Buffer.from("Rar!\x1a\x07\x01\0", "latin1"), Buffer.alloc(200, 3)]),
  Buffer.concat([Buffer.from("Rar!\x1a\x07\0", "latin1"), Buffer.alloc(200, 9)]),
  Buffer.concat([
    Buffer.from("d0cf11e0a1b11ae1", "hex"),
    Buffer.alloc(120),
    Buffer.from("EncryptedPackage", "utf16le"),
    Buffer.alloc(96),
  ]),
];
const names = new Set<string | null>([null, ...findingNames.map((name) => `Heuristics.Clamgate.${name}`)]);
const limits = { maxFiles: 100, maxMs: 10_000 };

async function holds(bytes: Buffer): Promise<void> {
  const found = await inspected(bytes, limits);
  if (found !== null) assert.ok(names.has(found.heuristic), `${found.heuristic}`);
}

const anyNumber = fc.oneof(fc.nat({ max: 400 }), fc.constantFrom(0xffff_ffff, 0xffff_fffe, 0x7fff_ffff, 0x8000_0000));
const shortNumber = fc.oneof(fc.nat({ max: 100 }), fc.constantFrom(0xffff, 0x8000));
const headers: fc.Arbitrary<Partial<Headers>> = fc.record(
  {
    flags: fc.constantFrom(0, 1, 8, 9, 0x2000, 0xffff),
    method: fc.constantFrom(0, 8, 9, 12, 14, 99, 0xffff),
    packedSize: anyNumber,
    size: anyNumber,
    extra: fc.uint8Array({ maxLength: 40 }),
  },
  { requiredKeys: [] },
);
const entry: fc.Arbitrary<MadeEntry> = fc.record(
  {
    name: fc.constantFrom("a", "META-INF/manifest.xml", "b/"),
    bytes: fc.uint8Array({ maxLength: 50 }),
    hasDescriptor: fc.boolean(),
    local: headers,
    central: fc
      .tuple(headers, fc.record({ offset: anyNumber }, { requiredKeys: [] }))
      .map(([one, other]) => ({ ...one, ...other })),
  },
  { requiredKeys: [] },
);
const zip: fc.Arbitrary<MadeZip> = fc.record(
  {
    front: fc.constantFrom(
      Buffer.from("#!/bin/sh\n"),
      gzipSync(short),
      tar("a", short),
      Buffer.from("PK00"),
      madeZip([{ bytes: short }]),
    ),
    countsFront: fc.boolean(),
    gap: fc.uint8Array({ maxLength: 50 }),
    end: fc.record({ entries: shortNumber, size: anyNumber, offset: anyNumber }, { requiredKeys: [] }),
    comment: fc.constantFrom(short, endRecord({ entries: 1, size: 46, offset: 0 })),
    behind: fc.uint8Array({ maxLength: 30 }),
    isZip64: fc.boolean(),
  },
  { requiredKeys: [] },
);

describe("whatever a body says", () => {
  test("an answer comes for every length that it is cut to", async () => {
    for (const seed of seeds) {
      for (let length = 0; length <= seed.length; length += 1) await holds(seed.subarray(0, length));
    }
  });

  test("a zip or 7z archive that is cut is never called whole", async () => {
    for (const seed of seeds) {
      const begins = seed.toString("latin1", 0, 4);
      if (begins !== "PK\x03\x04" && begins !== "7z\xbc\xaf") continue;
      for (let length = 6; length < seed.length; length += 1) {
        assert.notEqual(await inspectBody(inMemory(seed.subarray(0, length)), limits), null, `${length} of ${seed.length} bytes`);
      }
    }
  });

  test("an answer comes for any bytes changed, removed and doubled", async () => {
    const change = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      bytes: fc.uint8Array({ maxLength: 8 }),
      drop: fc.nat({ max: 12 }),
    });
    const property = fc.asyncProperty(
      fc.constantFrom(...seeds),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async (seed, changes, isDoubled) => {
        let bytes: Buffer = isDoubled ? Buffer.concat([seed, seed]) : seed;
        for (const { at, bytes: written, drop } of changes) {
          const index = Math.floor(at * bytes.length);
          bytes = Buffer.concat([bytes.subarray(0, index), written, bytes.subarray(index + drop)]);
        }
        await holds(bytes);
      },
    );
    await fc.assert(property, { numRuns: 2000 });
  });

  test("an answer comes for a zip with any lies in its headers", async () => {
    const property = fc.asyncProperty(fc.array(entry, { maxLength: 4 }), zip, (entries, made) => holds(madeZip(entries, made)));
    await fc.assert(property, { numRuns: 2000 });
  });

  test("two zips or archives one behind the other are never called whole, but taken apart, where the first is a zip", async () => {
    for (const seed of seeds) {
      if (!seed.subarray(0, 4).equals(Buffer.from("PK\x03\x04", "latin1"))) continue;
      const { found, pieces } = await opened(Buffer.concat([seed, seed]));
      assert.ok(found !== null || pieces[0]?.bytes.equals(seed));
    }
  });
});

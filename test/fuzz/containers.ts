/**
 * B8, B12: containers in containers that the gateway opens, where clamd does not. A marker in any of them is found, clean ones are clean; and
 * whatever is changed in them, an answer comes.
 */

import assert from "node:assert/strict";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { ar, makeself, rpm } from "../containers/made-packages.ts";
import { endRecord, madeZip } from "../containers/made-zip.ts";
import { toolSample } from "../containers/tool-samples.ts";
import { tar } from "../fault/tar.ts";
import { marker, markerName } from "../live/clamd.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import type { Front } from "./harness/fronts.ts";
import { type Change, changed, changes } from "./harness/mutated.ts";

interface Contained {
  readonly bytes: Buffer;
  readonly isInfected: boolean;
  /** How it was made, for whoever reads the counterexample. */
  readonly recipe: string;
}

const other = Buffer.from("another member\n".repeat(20));
const lines = (bytes: Buffer) => bytes.toString("base64").replace(/.{76}/g, "$&\n");
const mail = (bytes: Buffer) =>
  Buffer.from(
    `From: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n${lines(bytes)}\n--x--\n`,
  );

const wrappings: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  zstd: (bytes) => zstdCompressSync(bytes),
  "two frames of zstd": (bytes) =>
    Buffer.concat([zstdCompressSync(bytes.subarray(0, 100)), zstdCompressSync(bytes.subarray(100))]),
  ar: (bytes) => ar(["a/", other], ["b/", bytes]),
  rpm: (bytes) => rpm(gzipSync(bytes)),
  "rpm, zstd": (bytes) => rpm(zstdCompressSync(bytes)),
  makeself: (bytes) => makeself(gzipSync(bytes)),
  tar: (bytes) => Buffer.concat([tar("a", other).subarray(0, -1024), tar("b", bytes)]),
  gzip: (bytes) => gzipSync(bytes),
  zip: (bytes) => madeZip([{ bytes: other }, { name: "b", bytes }]),
  "zip with descriptors": (bytes) => madeZip([{ bytes: other }, { name: "b", bytes, hasDescriptor: true }]),
  "zip64 with descriptors": (bytes) => madeZip([{ name: "b", bytes, hasDescriptor: true }], { isZip64: true }),
  "zip behind a zip": (bytes) =>
    Buffer.concat([madeZip([{ bytes: other }]), madeZip([{ name: "b", bytes, hasDescriptor: true }])]),
  "zip before a zip": (bytes) =>
    Buffer.concat([madeZip([{ name: "b", bytes }]), madeZip([{ bytes: other, hasDescriptor: true }])]),
  mail,
};
/** Nothing tells of it within another file. */
const outermost: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  "zip behind a script": (bytes) => madeZip([{ bytes, hasDescriptor: true }], { front: Buffer.from("#!/bin/sh\n") }),
};

const leaf: fc.Arbitrary<Contained> = fc
  .record({ isInfected: fc.boolean(), fill: fc.integer({ min: 0, max: 3000 }) })
  .map(({ isInfected, fill }) => ({
    // Packed once more: stored bytes would show the marker.
    bytes: gzipSync(Buffer.from(`leaf\n${"some filling ".repeat(fill / 13)}${isInfected ? marker : ""}\nend\n`)),
    isInfected,
    recipe: isInfected ? "evil" : "clean",
  }));

const contained: fc.Arbitrary<Contained> = fc
  .tuple(
    leaf,
    fc.array(fc.constantFrom(...Object.keys(wrappings)), { minLength: 1, maxLength: 5 }),
    fc.option(fc.constantFrom(...Object.keys(outermost))),
  )
  .map(([start, layers, last]) => ({
    bytes: [...layers, ...(last === null ? [] : [last])].reduce(
      (bytes, layer) => (wrappings[layer] ?? outermost[layer])?.(bytes) ?? bytes,
      start.bytes,
    ),
    isInfected: start.isInfected,
    recipe: [start.recipe, ...layers, ...(last === null ? [] : [last])].join(" in "),
  }));

export function containers(front: Front): Campaign {
  return campaign({
    name: `containers that are opened, through ${front.name} (B8, B12)`,
    testRuns: 60,
    arbitrary: contained,
    corpus: Object.entries({ ...wrappings, ...outermost }).map(([recipe, wrap]) => ({
      bytes: wrap(gzipSync(marker)),
      isInfected: true,
      recipe,
    })),
    least: { clean: 0.1, found: 0.2 },
    async check({ bytes, isInfected, recipe }, note) {
      const { isClean, found, label } = await front.judge(bytes);
      // On a busy machine many levels take longer than the three seconds of this gateway.
      if (found === "Heuristics.Clamgate.LimitTime") return note("out of time");
      assert.equal(isClean, !isInfected, `${label} for ${recipe}`);
      if (isInfected) assert.equal(found, markerName, `${label} for ${recipe}`);
      note(isClean ? "clean" : "found");
    },
  });
}

const seeds: fc.Arbitrary<Buffer> = fc.oneof(
  contained.map(({ bytes }) => bytes),
  fc.constantFrom(
    ...(["four.bz2", "signed.eml", "streamed.p7m", "attachment.pdf", "stdin.zip", "many.7z", "bcj2.7z", "enc.arj"] as const).map(
      toolSample,
    ),
  ),
);

/** A million members of nothing, a directory that names one entry over and over, packed zeros, an archive in itself. */
function bad(): readonly Buffer[] {
  const entry = madeZip([{ bytes: Buffer.alloc(2_000_000), name: "a" }]);
  const start = entry.indexOf("PK\x01\x02", 0, "latin1");
  const central = entry.subarray(start, entry.indexOf("PK\x05\x06", 0, "latin1"));
  const overlapping = Buffer.concat([
    entry.subarray(0, start),
    Buffer.concat(Array.from({ length: 20_000 }, () => central)),
    endRecord({ entries: 20_000, size: 20_000 * central.length, offset: start }),
  ]);
  const nothing = ar(["a/", Buffer.alloc(0)]).subarray(8);
  return [
    overlapping,
    Buffer.concat([Buffer.from("!<arch>\n"), Buffer.alloc(nothing.length * 60_000, nothing)]),
    Buffer.alloc(3_000_000, "PK\x03\x04", "latin1"),
    Buffer.alloc(3_000_000, "BZh91AY&SY", "latin1"),
    Buffer.alloc(3_000_000, Buffer.from("177245385090314159265359", "hex")),
    Buffer.concat([Buffer.from("From: a\nMIME-Version: 1.0\n"), Buffer.alloc(3_000_000, "\n\nTVqQAAMAAAAEAAAA\n")]),
    Buffer.concat([Buffer.from("From: a\nMIME-Version: 1.0\n"), Buffer.alloc(3_000_000, "\n\nKLUv/SQJSQAAcG9zAA\n")]),
    Buffer.concat([Buffer.from("%PDF-1.4\n"), Buffer.alloc(3_000_000, "obj<</P(>>)/Filter/Fl>>stream\nx")]),
    Buffer.concat([Buffer.from("306080", "hex"), Buffer.alloc(3_000_000, Buffer.from("2480", "hex"))]),
    zstdCompressSync(Buffer.alloc(50_000_000)),
    zstdCompressSync(tar("a", zstdCompressSync(Buffer.alloc(3_900_000)))),
    Array.from({ length: 30 }).reduce<Buffer>((bytes) => zstdCompressSync(bytes), other),
    Array.from({ length: 30 }).reduce<Buffer>((bytes) => ar(["a/", bytes]), other),
  ];
}

export function brokenContainers(front: Front): Campaign {
  return campaign<readonly [Buffer, readonly Change[]]>({
    name: `containers with anything changed, through ${front.name} (B8, B12)`,
    testRuns: 80,
    arbitrary: fc.tuple(seeds, changes),
    corpus: bad().map((bytes) => [bytes, []] as const),
    async check([start, some], note) {
      const { isClean, found } = await front.judge(changed(start, some));
      note(isClean ? "clean" : found === markerName ? "found" : "refused");
    },
  });
}

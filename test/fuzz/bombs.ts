/** B8: small files that unpack to more than any limit, a marker behind it all. They are not looked through, and nobody is told that they are clean. */

import assert from "node:assert/strict";
import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { tar } from "../fault/tar.ts";
import { marker, mebibyte } from "../live/clamd.ts";
import { zip } from "../live/zip.ts";
import { type Campaign, campaign } from "./campaign.ts";
import { bzip2Bomb, xzBomb } from "./compressed-zeros.ts";
import type { Front } from "./fronts.ts";

interface Bomb {
  readonly recipe: string;
  readonly bytes: Buffer;
}

const wrappings: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  zip: (bytes) => zip([{ name: "member", bytes }]),
  gzip: (bytes) => gzipSync(bytes, { level: 1 }),
  tar: (bytes) => tar("member", bytes),
  "sixteen in a zip": (bytes) => zip(Array.from({ length: 16 }, (_, index) => ({ name: `member-${index}`, bytes }))),
};

function wrapped(size: number, layers: readonly string[]): Bomb {
  const start: Buffer = Buffer.concat([Buffer.alloc(size * mebibyte), Buffer.from(marker)]);
  const bytes = layers.reduce((inner, layer) => wrappings[layer]?.(inner) ?? inner, start);
  return { bytes, recipe: `${size} MiB in ${layers.join(" in ")}` };
}

/** All entries of the directory are the same bytes: ten gigabytes of them (D. Fifield, "A better zip bomb", 2019). */
function overlapping(): Bomb {
  const one = zip([{ name: "a", bytes: Buffer.concat([Buffer.alloc(10 * mebibyte), Buffer.from(marker)]) }]);
  const directory = one.indexOf("PK\x01\x02");
  const entry = one.subarray(directory, one.indexOf("PK\x05\x06"));
  const entries = 1_000;
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries, 8);
  end.writeUInt16LE(entries, 10);
  end.writeUInt32LE(entries * entry.length, 12);
  end.writeUInt32LE(directory, 16);
  const bytes = Buffer.concat([one.subarray(0, directory), ...Array.from({ length: entries }, () => entry), end]);
  return { bytes, recipe: "overlapping entries" };
}

function manyEntries(): Bomb {
  const empty = Array.from({ length: 30_000 }, (_, index) => ({ name: `${index}`, bytes: Buffer.alloc(0), isStored: true }));
  return { bytes: zip([...empty, { name: "last", bytes: Buffer.from(marker) }]), recipe: "30,000 empty entries" };
}

function pdf(): Bomb {
  const stream = deflateSync(Buffer.concat([Buffer.alloc(24 * mebibyte), Buffer.from(marker)]));
  const object = `1 0 obj\n<< /Length ${stream.length} /Filter /FlateDecode >>\nstream\n`;
  const bytes = Buffer.concat([
    Buffer.from(`%PDF-1.4\n${object}`),
    stream,
    Buffer.from("\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"),
  ]);
  return { bytes, recipe: "PDF stream" };
}

function xlsx(): Bomb {
  const sheet = Buffer.concat([Buffer.from("<worksheet>"), Buffer.alloc(24 * mebibyte, " "), Buffer.from(marker)]);
  const types = Buffer.from('<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>');
  const bytes = zip([
    { name: "[Content_Types].xml", bytes: types },
    { name: "_rels/.rels", bytes: Buffer.from("<Relationships/>") },
    { name: "xl/worksheets/sheet1.xml", bytes: sheet },
  ]);
  return { bytes, recipe: "xlsx sheet" };
}

export function bombs(front: Front): Campaign {
  const innocent = Buffer.from("what another client sends meanwhile");
  return campaign({
    name: `archives that unpack without end, through ${front.name} (B8, B14)`,
    testRuns: 4,
    arbitrary: fc
      .tuple(
        fc.integer({ min: 17, max: 32 }),
        fc.array(fc.constantFrom(...Object.keys(wrappings)), { minLength: 0, maxLength: 3 }),
        fc.constantFrom("zip", "gzip"),
      )
      .map(([size, layers, first]) => wrapped(size, [first, ...layers])),
    corpus: [
      wrapped(24, ["zip"]),
      wrapped(24, ["gzip"]),
      wrapped(24, ["gzip", "gzip"]),
      wrapped(16, ["sixteen in a zip", "sixteen in a zip", "sixteen in a zip", "sixteen in a zip", "sixteen in a zip"]),
      overlapping(),
      manyEntries(),
      { bytes: bzip2Bomb, recipe: "bzip2" },
      { bytes: xzBomb, recipe: "xz" },
      pdf(),
      xlsx(),
    ],
    async check({ bytes, recipe }) {
      // Twice: what could not be looked through once must not be taken for known and clean.
      const [first, other] = await Promise.all([front.judge(bytes), front.judge(innocent)]);
      const second = await front.judge(bytes);
      for (const { isClean, label } of [first, second]) assert.ok(!isClean, `${label} for ${recipe}`);
      assert.ok(other.isClean, `${other.label} for another client beside ${recipe}`);
    },
  });
}

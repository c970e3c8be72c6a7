/** B8: small files that unpack to more than any limit, a marker behind it all. They are not looked through, and nobody is told that they are clean. */

import assert from "node:assert/strict";
import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { tar } from "../fault/tar.ts";
import { marker, markerName, mebibyte } from "../live/clamd.ts";
import { zip } from "../live/zip.ts";
import { bzip2Bomb, bzip2Small, xzBomb, xzSmall } from "./compressed-bodies.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import type { Front } from "./harness/fronts.ts";

interface Bomb {
  readonly recipe: string;
  readonly bytes: Buffer;
  /** Made in the same way, but not too much to be looked through. */
  readonly small: Small;
}

interface Small {
  readonly clean: Buffer;
  readonly infected: Buffer;
}

function smallOf(pack: (content: Buffer) => Buffer): Small {
  return { clean: pack(Buffer.from("nothing evil")), infected: pack(Buffer.from(marker)) };
}

const wrappings: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  zip: (bytes) => zip([{ name: "member", bytes }]),
  gzip: (bytes) => gzipSync(bytes, { level: 1 }),
  tar: (bytes) => tar("member", bytes),
  "sixteen in a zip": (bytes) => zip(Array.from({ length: 16 }, (_, index) => ({ name: `member-${index}`, bytes }))),
};

function wrapped(size: number, layers: readonly string[]): Bomb {
  const wrap = (content: Buffer, names: readonly string[]) =>
    names.reduce((inner, layer) => wrappings[layer]?.(inner) ?? inner, content);
  const single = layers.map((layer) => layer.replace("sixteen in a ", ""));
  return {
    bytes: wrap(Buffer.concat([Buffer.alloc(size * mebibyte), Buffer.from(marker)]), layers),
    small: smallOf((content) => wrap(content, single)),
    recipe: `${size} MiB in ${layers.join(" in ")}`,
  };
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
  return { bytes, small: smallOf((content) => zip([{ name: "a", bytes: content }])), recipe: "overlapping entries" };
}

function manyEntries(): Bomb {
  const entries = (count: number, last: Buffer) => {
    const empty = Array.from({ length: count }, (_, index) => ({ name: `${index}`, bytes: Buffer.alloc(0), isStored: true }));
    return zip([...empty, { name: "last", bytes: last }]);
  };
  const small = smallOf((content) => entries(30, content));
  return { bytes: entries(30_000, Buffer.from(marker)), small, recipe: "30,000 empty entries" };
}

function inPdf(content: Buffer): Buffer {
  const stream = deflateSync(content);
  const object = `1 0 obj\n<< /Length ${stream.length} /Filter /FlateDecode >>\nstream\n`;
  const end = "\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n";
  return Buffer.concat([Buffer.from(`%PDF-1.4\n${object}`), stream, Buffer.from(end)]);
}

function pdf(): Bomb {
  const bytes = inPdf(Buffer.concat([Buffer.alloc(24 * mebibyte), Buffer.from(marker)]));
  return { bytes, small: smallOf(inPdf), recipe: "PDF stream" };
}

function inXlsx(sheet: Buffer): Buffer {
  const types = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>';
  return zip([
    { name: "[Content_Types].xml", bytes: Buffer.from(types) },
    { name: "_rels/.rels", bytes: Buffer.from("<Relationships/>") },
    { name: "xl/worksheets/sheet1.xml", bytes: Buffer.concat([Buffer.from("<worksheet>"), sheet]) },
  ]);
}

function xlsx(): Bomb {
  const bytes = inXlsx(Buffer.concat([Buffer.alloc(24 * mebibyte, " "), Buffer.from(marker)]));
  return { bytes, small: smallOf(inXlsx), recipe: "xlsx sheet" };
}

/** A limit, or what is behind it; never a fault of ours, and never the size of so small a body itself. */
const reasons = /^(Heuristics\.Limits\.Exceeded\.\w+|Heuristics\.Zip\.OverlappingFiles|Clamgate\.Test\.Marker-1)\b/;

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
      { bytes: bzip2Bomb, small: bzip2Small, recipe: "bzip2" },
      { bytes: xzBomb, small: xzSmall, recipe: "xz" },
      pdf(),
      xlsx(),
    ],
    async check({ bytes, small, recipe }) {
      // This format is looked into: neither refused nor passed as such.
      const clean = await front.judge(small.clean);
      assert.ok(clean.isClean, `${clean.label} for a small one of ${recipe}`);
      const infected = await front.judge(small.infected);
      assert.equal(infected.found, markerName, `${infected.label} for a small infected one of ${recipe}`);
      // Twice: what could not be looked through once must not be taken for known and clean.
      const [first, other] = await Promise.all([front.judge(bytes), front.judge(innocent)]);
      const second = await front.judge(bytes);
      for (const { isClean, found, label } of [first, second]) {
        assert.ok(!isClean, `${label} for ${recipe}`);
        assert.match(found, reasons, `${label} for ${recipe}`);
      }
      assert.ok(other.isClean, `${other.label} for another client beside ${recipe}`);
    },
  });
}

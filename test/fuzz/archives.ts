/** B8, B11: archives in archives, made of what clamd opens. A marker in any of them is found, and clean ones are clean. */

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { tar } from "../fault/tar.ts";
import { marker } from "../live/clamd.ts";
import { zip } from "../live/zip.ts";
import { type Campaign, campaign } from "./campaign.ts";
import type { Client } from "./client.ts";
import { sevenZip } from "./seven-zip.ts";

/** What is in an archive, and whether there is something evil anywhere within. */
interface Packed {
  readonly bytes: Buffer;
  readonly isInfected: boolean;
  readonly isEncrypted: boolean;
  /** How it was made, for whoever reads the counterexample. */
  readonly recipe: string;
}

const leaf: fc.Arbitrary<Packed> = fc
  .record({ isInfected: fc.boolean(), text: fc.string({ maxLength: 60 }), fill: fc.integer({ min: 0, max: 20_000 }) })
  .map(({ isInfected, text, fill }) => ({
    bytes: Buffer.from(`leaf ${text}\n${"some filling ".repeat(fill / 13)}${isInfected ? marker : ""}\nend\n`),
    isInfected,
    isEncrypted: false,
    recipe: isInfected ? "evil" : "clean",
  }));

const pack = fc.letrec<{ node: Packed }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 6, depthSize: "large" },
    leaf,
    fc
      .tuple(fc.array(tie("node"), { minLength: 1, maxLength: 3 }), fc.constantFrom("zip", "stored zip", "7z", "encrypted zip"))
      .map(([inner, kind]) => combined(inner, kind)),
    tie("node").map((inner) => ({ ...inner, bytes: tar("member", inner.bytes), recipe: `tar(${inner.recipe})` })),
    tie("node").map((inner) => ({ ...inner, bytes: gzipSync(inner.bytes, { level: 1 }), recipe: `gzip(${inner.recipe})` })),
  ),
})).node;

function combined(inner: readonly Packed[], kind: string): Packed {
  const isEncrypted = kind === "encrypted zip";
  const members = inner.map(({ bytes }, index) => ({ name: `member-${index}`, bytes }));
  const bytes =
    kind === "7z" ? sevenZip(members) : zip(members.map((member) => ({ ...member, isEncrypted, isStored: kind !== "zip" })));
  return {
    bytes,
    isInfected: inner.some((one) => one.isInfected),
    isEncrypted: isEncrypted || inner.some((one) => one.isEncrypted),
    recipe: `${kind}(${inner.map(({ recipe }) => recipe).join(", ")})`,
  };
}

function deep(levels: number): Packed {
  let packed: Packed = { bytes: Buffer.from(marker), isInfected: true, isEncrypted: false, recipe: "evil" };
  for (let level = 0; level < levels; level += 1) packed = combined([packed], "zip");
  return packed;
}

export function archives({ fetch }: Client, url: string): Campaign {
  return campaign({
    name: "archives (B8, B11)",
    testRuns: 250,
    arbitrary: pack,
    // Up to MAX_RECURSION found, beyond it unscannable: never clean.
    corpus: [1, 5, 14, 15, 16, 17, 18, 19, 25, 40].map(deep),
    async check({ bytes, isInfected, isEncrypted, recipe }) {
      const answer = await fetch(`${url}/scanHandlerBody`, { method: "POST", body: new Uint8Array(bytes) });
      const text = await answer.text();
      const expected = isInfected || isEncrypted ? 406 : 200;
      assert.equal(answer.status, expected, `${answer.status} ${text} for ${recipe}`);
    },
  });
}

/** B8, B11: archives in archives, made of what clamd opens. A marker in any of them is found, encrypted ones are not passed, and clean ones are clean. */

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { tar } from "../fault/tar.ts";
import { marker, markerName } from "../live/clamd.ts";
import { zip } from "../live/zip.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import type { Front } from "./harness/fronts.ts";
import { sevenZip } from "./seven-zip.ts";

/** What is in an archive, and whether there is something evil anywhere within. */
interface Packed {
  readonly bytes: Buffer;
  readonly isInfected: boolean;
  readonly isEncrypted: boolean;
  /** How it was made, for whoever reads the counterexample. */
  readonly recipe: string;
}

const file: fc.Arbitrary<Packed> = fc
  .record({ isInfected: fc.boolean(), text: fc.string({ maxLength: 60 }), fill: fc.integer({ min: 0, max: 20_000 }) })
  .map(({ isInfected, text, fill }) => ({
    bytes: Buffer.from(`leaf ${text}\n${"some filling ".repeat(fill / 13)}${isInfected ? marker : ""}\nend\n`),
    isInfected,
    isEncrypted: false,
    recipe: isInfected ? "evil" : "clean",
  }));

/** Nothing in it can be read, and its trailer says so (ISO 32000-1 §7.6). */
function encryptedPdf(): Packed {
  const encrypt = `<< /Filter /Standard /V 1 /R 2 /P -44 /O (${"o".repeat(32)}) /U (${"u".repeat(32)}) >>`;
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [] /Count 0 >>",
    encrypt,
    `<< /Length 40 >>\nstream\n${"\x93".repeat(40)}\nendstream`,
  ].map((object, index) => `${index + 1} 0 obj\n${object}\nendobj\n`);
  const trailer = "<< /Size 5 /Root 1 0 R /Encrypt 3 0 R /ID [(aaaaaaaaaaaaaaaa)(aaaaaaaaaaaaaaaa)] >>";
  const text = `%PDF-1.4\n${objects.join("")}trailer\n${trailer}\nstartxref\n0\n%%EOF\n`;
  return { bytes: Buffer.from(text, "latin1"), isInfected: false, isEncrypted: true, recipe: "encrypted PDF" };
}

const leaf = fc.oneof({ weight: 9, arbitrary: file }, { weight: 1, arbitrary: fc.constant(null).map(encryptedPdf) });

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

export function archives(front: Front): Campaign {
  return campaign({
    name: `archives in archives, through ${front.name} (B8, B11)`,
    testRuns: 150,
    arbitrary: pack,
    // Up to MAX_RECURSION found, beyond it unscannable: never clean.
    corpus: [1, 5, 14, 15, 16, 17, 18, 19, 25, 40].map(deep).concat(encryptedPdf()),
    least: { "packed and clean": 0.03, "packed and found": 0.2 },
    async check({ bytes, isInfected, isEncrypted, recipe }, note) {
      const { isClean, found, label } = await front.judge(bytes);
      assert.equal(isClean, !(isInfected || isEncrypted), `${label} for ${recipe}`);
      if (!recipe.includes("(")) return;
      if (isClean) note("packed and clean");
      if (found === markerName) note("packed and found");
    },
  });
}

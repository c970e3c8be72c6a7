/** B12: what clamd passes unseen is blocked where the operator has listed its format, whatever is behind its first bytes. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { marker } from "../live/clamd.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import type { Front } from "./harness/fronts.ts";

/** UNSUPPORTED_FORMATS */
export const unsupportedFormats = "lzop,lz4";
const magics = ["894c5a4f000d0a1a0a", "04224d18", "02214c18"].map((magic) => Buffer.from(magic, "hex"));

export function unsupportedBodies(front: Front): Campaign {
  return campaign({
    name: `formats that are not looked into, through ${front.name} (B12)`,
    testRuns: 50,
    arbitrary: fc
      .tuple(fc.constantFrom(...magics), fc.constantFrom("", marker), fc.uint8Array({ maxLength: 200 }))
      .map(([magic, text, bytes]) => Buffer.concat([magic, Buffer.from(text), bytes])),
    corpus: magics,
    async check(bytes) {
      const { isClean, label } = await front.judge(bytes);
      assert.ok(!isClean, `${label} for ${bytes.toString("hex")}`);
      // One byte before it, and it is of no format: judged by what is in it.
      const other = await front.judge(Buffer.concat([Buffer.from("x"), bytes]));
      assert.equal(other.isClean, !bytes.includes(marker), `${other.label} for ${bytes.toString("hex")} behind an x`);
    },
  });
}

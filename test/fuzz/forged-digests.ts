/** B15: bodies that claim to be another one, known and clean, while others leave in the middle of the same one. A verdict follows the bytes alone. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { marker, markerName } from "../live/clamd.ts";
import { eventually } from "../process/stage.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import type { Front } from "./harness/fronts.ts";
import type { ScanLog } from "./harness/scan-log.ts";

const claims: Readonly<Record<string, (digest: Buffer) => string>> = {
  "x-sha256": (digest) => digest.toString("hex"),
  "x-clamgate-sha256": (digest) => digest.toString("hex"),
  "x-clamgate-verdict": () => "clean",
  "x-clamgate-cache": () => "hit",
  etag: (digest) => `"${digest.toString("hex")}"`,
  "last-modified": () => "Sat, 22 Nov 2025 10:00:00 GMT",
  digest: (digest) => `SHA-256=${digest.toString("base64")}`,
  "repr-digest": (digest) => `sha-256=:${digest.toString("base64")}:`,
  "content-digest": (digest) => `sha-256=:${digest.toString("base64")}:`,
};

export function forgedDigests(front: Front, log: ScanLog): Campaign {
  let round = 0;
  return campaign({
    name: `bodies that claim another digest, through ${front.name} (B15)`,
    testRuns: 40,
    arbitrary: fc.record({
      names: fc.subarray(Object.keys(claims)),
      filling: fc.nat(3_000),
      // As many as leave, each after so many milliseconds.
      leaveAfter: fc.array(fc.nat(20), { maxLength: 3 }),
    }),
    corpus: [{ names: Object.keys(claims), filling: 100, leaveAfter: [0, 1, 5] }],
    least: { left: 0.05 },
    async check({ names, filling, leaveAfter }, note) {
      round += 1;
      // Verdicts are known by the digest, whatever front has asked for them.
      const known = Buffer.from(`${front.name} ${round}${"some filling ".repeat(filling)}`);
      const evil = Buffer.concat([known, Buffer.from(marker)]);
      const digest = createHash("sha256").update(known).digest();
      const lines = Object.fromEntries(names.map((name) => [name, claims[name]?.(digest) ?? ""]));
      const circumstances = { lines, name: `claims-${round}` };

      assert.ok((await front.judge(known, circumstances)).isClean, "the known one");
      const leaving = leaveAfter.map((ms) =>
        front.judge(evil, { ...circumstances, signal: AbortSignal.timeout(ms) }).catch(() => null),
      ); // they leave
      const staying = await Promise.all([front.judge(evil, circumstances), front.judge(evil, circumstances)]);
      for (const { found, label } of staying) {
        assert.equal(found, markerName, `${label} for a body with the claims ${names.join()}`);
      }
      const left = await Promise.all(leaving);
      for (const settled of left) assert.ok(!settled?.isClean, `${settled?.label} for one who left`);
      if (left.includes(null)) note("left");
      // Under another name: an address that led to a virus is blocked for as long as that verdict lasts.
      assert.ok((await front.judge(known, { lines })).isClean, "the known one, again");
      const sources = () => log.sourcesOf(digest.toString("hex"));
      await eventually("the verdict that is claimed was there to be had", () => sources().has("cache"));
    },
  });
}

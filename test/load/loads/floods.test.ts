/** A share of L9, on a machine that others use too: its bounds on time and memory are wide, all others are exact. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertNothingLeft } from "../../fault/harness/invariants.ts";
import { openLoadStage } from "../load-stage.ts";
import { quantile } from "../table.ts";
import { beside, faultsOf, openFloodedGateway, timesOf } from "./floods.ts";

const kinds = ["resets", "HTTP/1.1 resets", "streams", "large heads", "no window"] as const;
const mebibyte = 1024 * 1024;

describe("a flood on 15 connections", () => {
  test("costs others no request and little time, and the log few lines", async (context) => {
    await using stage = await openLoadStage({ seconds: 3, say: (line) => context.diagnostic(line) });
    const gateway = await openFloodedGateway(stage);
    for (const kind of kinds) {
      const { others, log, flood, grownBytes } = await beside(stage, gateway, { kind, connections: 15 });
      const { livez, uploads } = timesOf(others);
      const [middle, worst] = [quantile([...livez, ...uploads], 0.5), Math.max(...livez, ...uploads)];
      context.diagnostic(
        `${kind}: p50 ${middle.toFixed(0)} ms, most ${worst.toFixed(0)} ms, ${log.lines} lines, ${flood.sent} sent`,
      );
      assert.deepEqual(faultsOf(others), [], kind);
      assert.ok(flood.sent > 500, `${kind}: ${flood.sent} sent`);
      // Of streams and large heads it was 7.7 and 10.7 s before they were begun in turns.
      assert.ok(middle < 1_500, `${kind}: p50 ${middle} ms`);
      assert.ok(worst < 6_000, `${kind}: at most ${worst} ms`);
      assert.ok(log.bytes < 64 * 1024, `${kind}: ${log.bytes} bytes of log`);
      assert.ok(grownBytes < 512 * mebibyte, `${kind}: ${grownBytes} bytes`);
    }
    await assertNothingLeft(gateway, gateway);
  });
});

/** A share of L8, on a machine that others use too: its bounds on time are wide, all others are exact. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertNothingLeft } from "../../fault/harness/invariants.ts";
import { openLoadStage } from "../load-stage.ts";
import { besideOneClient, p95Of, refusedOf } from "./one-client.ts";

describe("one client with 1,200 connections, more than the queue holds", () => {
  test("costs ten others no request and little time, and has the whole engine while it is alone", async (context) => {
    await using stage = await openLoadStage({ seconds: 8, say: (line) => context.diagnostic(line) });
    const plan = { connections: 1_200, slots: 4, scanMs: 100, perSecond: 10 };
    const { gateway, alone, beside, hoard, lonely } = await besideOneClient(stage, plan);
    const [usual, p95] = [p95Of(alone), p95Of(beside)];
    context.diagnostic(
      `p95 ${usual.toFixed(0)} ms alone, ${p95.toFixed(0)} ms beside it; ${JSON.stringify(hoard)}; ${lonely.toFixed(0)}/s`,
    );
    for (const arrivals of [alone, beside]) {
      assert.ok(arrivals.answers.length >= 50);
      assert.deepEqual([refusedOf(arrivals), arrivals.wrong, arrivals.broken], [0, [], []]);
    }
    assert.ok(p95 <= 3 * usual + 2_000);
    assert.ok(hoard.refused > 0, "the queue was never full");
    assert.deepEqual(hoard.broken, []);
    // 40 a second at most, on a machine of its own.
    assert.ok(lonely > 5);
    await assertNothingLeft(gateway, gateway);
  });
});

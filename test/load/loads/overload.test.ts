/** A share of L6, on a machine that others use too: its bounds on time are wide, all others are exact. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertNothingLeft } from "../../fault/harness/invariants.ts";
import { openLoadStage } from "../load-stage.ts";
import { quantile } from "../table.ts";
import { overloaded } from "./overload.ts";

describe("five times more requests than can be served", () => {
  test("cost those that can be served little, and the others get 503 with Retry-After at once", async (context) => {
    await using stage = await openLoadStage({ seconds: 4, say: (line) => context.diagnostic(line) });
    const clamd = await stage.scriptedClamd({ slots: 2, scanMs: 40 });
    const { gateway, most, goodput, arrivals, refusedMs, recoveryMs, pingsMs } = await overloaded(stage, {
      env: { ...clamd, QUEUE_MAX: "20" },
      clamdSocket: async () => (clamd.CLAMD_PORT ?? "").replace("unix://", ""),
      infectedEvery: 20,
      times: 5,
      usualMs: 500,
      recoverySeconds: 3,
    });
    context.diagnostic(
      `${goodput.toFixed(0)} of ${most.toFixed(0)}/s served, ${refusedMs.length} refused after ${quantile(refusedMs, 0.5).toFixed(0)} ms (p50), recovered after ${recoveryMs.toFixed(0)} ms`,
    );
    assert.deepEqual(arrivals.broken, []);
    assert.deepEqual(arrivals.wrong, []);
    assert.ok(refusedMs.length > 0);
    assert.ok(quantile(refusedMs, 0.5) < 250);
    assert.ok(goodput >= 0.5 * most);
    assert.ok(recoveryMs < 3_000);
    // Never more at once than clamd has threads for.
    assert.ok(quantile(pingsMs, 1) < 2_000);
    await assertNothingLeft(gateway, gateway);
  });
});

/** A share of L5, on a machine that others use too: its bounds on time are wide, all others are exact. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertNothingLeft } from "../../fault/harness/invariants.ts";
import { openLoadStage } from "../load-stage.ts";
import { besideACrowd, p99Of } from "./many-connections.ts";

describe("500 connections that do nothing or next to nothing", () => {
  test("cost 20 active clients no request, no verdict and little time, and those that trickle are cut", async (context) => {
    await using stage = await openLoadStage({ seconds: 8, say: (line) => context.diagnostic(line) });
    const crowd = { idle: 200, heads: 150, bodies: 150, perSecond: 50 };
    const { gateway, alone, beside, gathered, last } = await besideACrowd(stage, { crowd, perSecond: 40, active: 20 });
    assert.equal(gathered.open, 500);
    assert.deepEqual(last.refused, []);
    for (const { answers, wrong, broken } of [...alone, beside]) {
      assert.deepEqual(wrong, []);
      assert.deepEqual(broken, []);
      assert.equal(answers.filter(({ isServed }) => !isServed).length, 0);
    }
    const [usual] = alone;
    context.diagnostic(`p99 ${p99Of(usual).toFixed(1)} ms alone, ${p99Of(beside).toFixed(1)} ms beside them`);
    assert.ok(p99Of(beside) <= 2 * p99Of(usual) + 500);
    // The first of them had come 18 s before, and a body may be slow for 15 s.
    assert.ok(last.cut.heads > 0, "no head that trickles was cut");
    assert.ok(last.cut.bodies > 0, "no body that trickles was cut");
    assert.ok(last.oldestMs.heads < 18_000 && last.oldestMs.bodies < 23_000, JSON.stringify(last.oldestMs));
    await assertNothingLeft(gateway, gateway);
  });
});

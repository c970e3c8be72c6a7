/** The engine that has bodies looked into, under the scan function: who is asked, what is answered and remembered. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Inspect, lookInside } from "../../src/core/look-inside.ts";
import type { Unscannable, Verdict } from "../../src/core/verdict.ts";
import { fakeEngine } from "../fake/engine.ts";
import { clean, encrypted, infected, openScan, requestOptions } from "./scan-stage.ts";

const unknownMethod = { kind: "unscannable", reason: "unsupported", heuristic: "Heuristics.Clamgate.Zip.Method" } as const;
const limited: Verdict = { kind: "unscannable", reason: "limit-size", heuristic: "Heuristics.Limits.Exceeded.MaxScanSize" };

async function openStage(inspect: Inspect, verdict: Verdict) {
  const engine = fakeEngine();
  const stage = await openScan({ engine: lookInside(engine, inspect) });
  engine.answerAll(() => verdict);
  return { ...stage, engine };
}

describe("lookInside", () => {
  for (const [name, found] of [
    ["at once", null],
    ["in the end", Promise.resolve(null)],
  ] as const) {
    test(`says what the engine says where nothing is found, ${name}, and has it remembered`, async () => {
      for (const verdict of [clean, encrypted]) {
        await using stage = await openStage(() => found, verdict);
        assert.deepEqual((await stage.post("a")).report.verdict, verdict);
        assert.equal(stage.cache.entries.size, verdict === clean ? 1 : 0);
      }
    });
  }

  test("says what is found of a body that the engine calls clean, and has it looked into again each time", async () => {
    let looks = 0;
    await using stage = await openStage(async () => {
      looks += 1;
      return unknownMethod;
    }, clean);
    for (let times = 1; times <= 2; times += 1) {
      assert.deepEqual((await stage.post("a")).report.verdict, unknownMethod);
      assert.equal(looks, times);
    }
    assert.equal(stage.cache.entries.size, 0);
  });

  test("does not look into what is infected", async () => {
    await using stage = await openStage(() => assert.fail("looked"), infected);
    assert.deepEqual((await stage.post("a")).report.verdict, infected);
  });

  test("keeps the engine's name for a reason that both give, or of two limits, and calls two other reasons unsupported", async () => {
    const both = { ...unknownMethod, reason: "encrypted", heuristic: "Heuristics.Clamgate.Encrypted.Zip" } as const;
    const files: Unscannable = { kind: "unscannable", reason: "limit-files", heuristic: null };
    const unsupported: Unscannable = { kind: "unscannable", reason: "unsupported", heuristic: null };
    for (const [verdict, found, expected] of [
      [encrypted, both, encrypted],
      [encrypted, unknownMethod, unknownMethod],
      [limited, both, unsupported],
      [limited, files, limited],
    ] as const) {
      await using stage = await openStage(async () => found, verdict);
      assert.deepEqual((await stage.post("a")).report.verdict, expected);
    }
  });

  test("fails the scan where the body cannot be read", async () => {
    const fault = new Error("no");
    await using stage = await openStage(() => Promise.reject(fault), clean);
    await assert.rejects(stage.post("a"), (thrown) => thrown === fault);
    assert.equal(stage.cache.entries.size, 0);
  });

  test("stops where every client has gone", async () => {
    const given = Promise.withResolvers<AbortSignal>();
    await using stage = await openStage(async (_body, signal) => {
      given.resolve(signal);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      signal.throwIfAborted();
      return null;
    }, clean);
    const leaving = new AbortController();
    const posting = stage.post("a", requestOptions({ signal: leaving.signal }));
    await given.promise;
    leaving.abort(new Error("gone"));
    await assert.rejects(posting, { message: "gone" });
    assert.equal((await given.promise).aborted, true);
  });
});

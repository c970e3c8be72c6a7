import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNameLookup, type Resolve } from "../../../src/front/proxy/name-lookup.ts";
import { UpstreamError } from "../../../src/front/proxy/refusal.ts";
import { failsWith } from "./refusing.ts";

function lookupWith(resolve: Resolve, options: { ttlMs?: number; timeoutMs?: number; maxEntries?: number } = {}) {
  const clock = { now: 0 };
  const asked: string[] = [];
  const lookup = createNameLookup({
    resolve: (name) => {
      asked.push(name);
      return resolve(name);
    },
    timeoutMs: 1000,
    ttlMs: 30_000,
    maxEntries: 100,
    ...options,
    clock: () => clock.now,
  });
  return { lookup: (name: string, signal = new AbortController().signal) => lookup(name, signal), clock, asked };
}

const failure = (code: string) => Object.assign(new Error(`getaddrinfo ${code} secret.internal`), { code });

describe("a name lookup (S22)", () => {
  test("asks once for 30 s, and no longer however long it was told to", async () => {
    const { lookup, clock, asked } = lookupWith(async () => ["1.1.1.1"], { ttlMs: 3_600_000 });
    assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
    clock.now = 29_999;
    await lookup("h");
    assert.equal(asked.length, 1);
    clock.now = 30_000;
    await lookup("h");
    assert.equal(asked.length, 2);
  });

  test("asks once for many that come together, and each name for itself", async () => {
    const { lookup, asked } = lookupWith(async (name) => [name === "a" ? "1.1.1.1" : "2.2.2.2"]);
    const answers = await Promise.all([lookup("a"), lookup("a"), lookup("b")]);
    assert.deepEqual(answers, [["1.1.1.1"], ["1.1.1.1"], ["2.2.2.2"]]);
    assert.deepEqual(asked, ["a", "b"]);
  });

  for (const code of ["ENOTFOUND", "EAI_AGAIN", "ESERVFAIL"]) {
    test(`${code} is a failed upstream with one text, and is not remembered`, async () => {
      let isBroken = true;
      const { lookup } = lookupWith(async () => {
        if (isBroken) throw failure(code);
        return ["1.1.1.1"];
      });
      await assert.rejects(lookup("h"), failsWith("upstream-failed", "The origin could not be reached"));
      await assert.rejects(
        lookup("h"),
        (error) => error instanceof UpstreamError && error.isTransient === (code === "EAI_AGAIN"),
      );
      isBroken = false;
      assert.deepEqual(await lookup("h"), ["1.1.1.1"]);
    });
  }

  test("an empty answer, and one of 10,000 records, are failures", async () => {
    const many = Array.from({ length: 10_000 }, () => "1.1.1.1");
    await assert.rejects(lookupWith(async () => []).lookup("h"), failsWith("upstream-failed"));
    await assert.rejects(lookupWith(async () => many).lookup("h"), failsWith("upstream-failed"));
    assert.equal((await lookupWith(async () => many.slice(0, 256)).lookup("h")).length, 256);
  });

  test("a question without an answer ends in its time, as too slow (P24, S18), and is asked anew", async () => {
    const { lookup, clock, asked } = lookupWith(() => new Promise(() => {}), { timeoutMs: 20 });
    await assert.rejects(lookup("h"), failsWith("upstream-timeout", "Looking up the origin's name took too long"));
    clock.now = 20;
    await assert.rejects(lookup("h"), failsWith("upstream-timeout"));
    assert.equal(asked.length, 2);
  });

  test("the wait ends with the signal's reason", async () => {
    const { lookup } = lookupWith(() => new Promise(() => {}));
    const controller = new AbortController();
    const waiting = lookup("h", controller.signal);
    const reason = new Error("gone");
    controller.abort(reason);
    await assert.rejects(waiting, reason);
    await assert.rejects(lookup("h", controller.signal), reason);
  });

  test("remembers no more names than it may", async () => {
    const { lookup, asked } = lookupWith(async () => ["1.1.1.1"], { maxEntries: 2 });
    for (const name of ["a", "b", "c", "a"]) await lookup(name);
    assert.deepEqual(asked, ["a", "b", "c", "a"]);
  });
});

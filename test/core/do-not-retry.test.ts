import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDoNotRetry } from "../../src/core/do-not-retry.ts";

const unscannable = (reason: string) => ({ kind: "unscannable", reason, heuristic: null });

describe("createDoNotRetry", () => {
  test("answers for each key by its latest reason, until its time is over", () => {
    let now = 0;
    const list = createDoNotRetry({ ttlMs: 1000, maxEntries: 10, clock: () => now });
    assert.equal(list.find("a"), null);
    list.add("a", "limit-time");
    now = 500;
    list.add("a", "poison");
    list.add("b", "limit-time");
    now = 1499;
    assert.deepEqual([list.find("a"), list.find("b")], [unscannable("poison"), unscannable("limit-time")]);
    now = 1500;
    assert.deepEqual([list.find("a"), list.find("b")], [null, null]);
  });

  test("gives up the oldest where there are too many", () => {
    const list = createDoNotRetry({ ttlMs: 1000, maxEntries: 2, clock: () => 0 });
    for (const key of ["a", "b", "a", "c"]) list.add(key, "poison");
    assert.deepEqual(
      ["a", "b", "c"].map((key) => list.find(key) === null),
      [false, true, false],
    );
  });
});

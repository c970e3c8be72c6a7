import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLosses } from "../../src/engine/losses.ts";

describe("createLosses", () => {
  test("counts the losses of each body, until it was scanned after all", () => {
    const losses = createLosses({ ttlMs: 1000, maxEntries: 10, clock: () => 0 });
    assert.deepEqual([losses.add("a"), losses.add("b"), losses.add("a")], [1, 1, 2]);
    losses.clear("a");
    assert.deepEqual([losses.add("a"), losses.add("b")], [1, 2]);
  });

  test("forgets a loss after its time, each one anew", () => {
    let now = 0;
    const losses = createLosses({ ttlMs: 1000, maxEntries: 10, clock: () => now });
    losses.add("a");
    now = 999;
    assert.equal(losses.add("a"), 2);
    now = 1999;
    assert.equal(losses.add("a"), 1);
  });

  test("keeps the newest where there are too many", () => {
    const losses = createLosses({ ttlMs: 1000, maxEntries: 2, clock: () => 0 });
    for (const digest of ["a", "b", "c"]) losses.add(digest);
    assert.deepEqual([losses.add("b"), losses.add("c"), losses.add("a")], [2, 2, 1]);
  });
});

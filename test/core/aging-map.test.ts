import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AgingMap } from "../../src/core/aging-map.ts";

describe("AgingMap", () => {
  test("answers for each key by what was set last, until its time is over", () => {
    let now = 0;
    const map = new AgingMap<number>({ ttlMs: 1000, maxEntries: 10, clock: () => now });
    assert.equal(map.get("a"), null);
    map.set("a", 1);
    now = 500;
    map.set("a", 2);
    map.set("b", 3);
    map.set("c", 4);
    map.delete("c");
    now = 1499;
    assert.deepEqual([map.get("a"), map.get("b"), map.get("c")], [2, 3, null]);
    now = 1500;
    assert.deepEqual([map.get("a"), map.get("b")], [null, null]);
  });

  test("gives up the oldest where there are too many", () => {
    const map = new AgingMap<true>({ ttlMs: 1000, maxEntries: 2, clock: () => 0 });
    for (const key of ["a", "b", "a", "c"]) map.set(key, true);
    assert.deepEqual(
      ["a", "b", "c"].map((key) => map.get(key)),
      [true, null, true],
    );
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ActiveSet } from "../../../src/core/queues/active-set.ts";

describe("ActiveSet", () => {
  test("holds what was added and not yet taken off, whatever the order, however often it is taken off", () => {
    const changes = fc.array(fc.record({ isLeave: fc.boolean(), which: fc.nat(1000) }), { maxLength: 200 });
    fc.assert(
      fc.property(changes, (all) => {
        const active = new ActiveSet<number>();
        const expected = new Set<number>();
        const leaves: (() => void)[] = [];
        for (const { isLeave, which } of all) {
          if (isLeave && leaves.length > 0) {
            const number = which % leaves.length;
            leaves[number]?.();
            expected.delete(number);
          } else {
            expected.add(leaves.length);
            leaves.push(active.add(leaves.length));
          }
          assert.equal(active.size, expected.size);
          assert.deepEqual(new Set(active.items()), expected);
        }
      }),
    );
  });

  test("holds the same thing twice where it was added twice", () => {
    const active = new ActiveSet<string>();
    const first = active.add("a");
    const second = active.add("a");
    first();
    first();
    assert.deepEqual(active.items(), ["a"]);
    second();
    assert.equal(active.size, 0);
  });

  test("can be changed while somebody goes through it", () => {
    const active = new ActiveSet<string>();
    const leaves = ["a", "b", "c"].map((item) => active.add(item));
    const seen: string[] = [];
    for (const item of active.items()) {
      seen.push(item);
      for (const leave of leaves) leave();
    }
    assert.deepEqual(seen, ["a", "b", "c"]);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Roster } from "../../src/core/roster.ts";

describe("Roster", () => {
  test("holds what was added and not yet taken off, whatever the order, however often it is taken off", () => {
    const changes = fc.array(fc.record({ isLeave: fc.boolean(), which: fc.nat(1000) }), { maxLength: 200 });
    fc.assert(
      fc.property(changes, (all) => {
        const roster = new Roster<number>();
        const expected = new Set<number>();
        const leaves: (() => void)[] = [];
        for (const { isLeave, which } of all) {
          if (isLeave && leaves.length > 0) {
            const number = which % leaves.length;
            leaves[number]?.();
            expected.delete(number);
          } else {
            expected.add(leaves.length);
            leaves.push(roster.add(leaves.length));
          }
          assert.equal(roster.size, expected.size);
          assert.deepEqual(new Set(roster.items()), expected);
        }
      }),
    );
  });

  test("holds the same thing twice where it was added twice", () => {
    const roster = new Roster<string>();
    const first = roster.add("a");
    const second = roster.add("a");
    first();
    first();
    assert.deepEqual(roster.items(), ["a"]);
    second();
    assert.equal(roster.size, 0);
  });

  test("can be changed while somebody goes through it", () => {
    const roster = new Roster<string>();
    const leaves = ["a", "b", "c"].map((item) => roster.add(item));
    const seen: string[] = [];
    for (const item of roster.items()) {
      seen.push(item);
      for (const leave of leaves) leave();
    }
    assert.deepEqual(seen, ["a", "b", "c"]);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clamdSlots, slotsOf } from "../../../src/config/groups/engine-settings.ts";
import { isTaken, valueFrom } from "../parsing.ts";

describe("clamdSlots", () => {
  test("takes auto, and numbers from 1 to 1000", () => {
    assert.equal(valueFrom(clamdSlots(), "AUTO"), "auto");
    for (const number of [1, 10, 1000]) assert.equal(valueFrom(clamdSlots(), String(number)), number);
    for (const text of ["0", "1001", "automatic", "", "1.5"]) assert.equal(isTaken(clamdSlots(), text), false, text);
  });
});

describe("slotsOf", () => {
  test("is the number, or a share of the threads: all shares together are no more than there are, but for one each", () => {
    assert.equal(slotsOf(7, { threads: 10, sharers: 3 }), 7);
    for (const [sharers, share] of [
      [1, 10],
      [2, 5],
      [3, 3],
      [4, 2],
      [10, 1],
      [11, 1],
    ] as const) {
      assert.equal(slotsOf("auto", { threads: 10, sharers }), share);
    }
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { percentile, spreadOf } from "../../bench/load/statistics.ts";

describe("spreadOf", () => {
  test("is the value itself three times where there is only one", () => {
    assert.deepEqual(spreadOf([3]), { count: 1, min: 3, median: 3, max: 3 });
  });

  test("takes values in any order, as numbers and not as text", () => {
    assert.deepEqual(spreadOf([10, 9, 100]), { count: 3, min: 9, median: 10, max: 100 });
  });

  test("has its median between the two in the middle of an even number", () => {
    assert.equal(spreadOf([1, 2, 3, 10]).median, 2.5);
  });
});

describe("percentile", () => {
  test("lies between two values as far as it is between them", () => {
    assert.equal(percentile([0, 10], 99), 9.9);
  });

  test("is NaN where there are none: a scenario without an answer passes no bar", () => {
    assert.ok(Number.isNaN(percentile([], 50)));
  });
});

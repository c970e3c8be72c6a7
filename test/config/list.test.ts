import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { wholeNumber } from "../../src/config/numbers.ts";
import { list } from "../../src/config/parser.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

const numbers = list({ item: wholeNumber({ from: 1, to: 9 }), separator: "," });

describe("list", () => {
  test("reads one value, several, and none", () => {
    assert.deepEqual(valueFrom(numbers, "1"), [1]);
    assert.deepEqual(valueFrom(numbers, "3,1,2"), [3, 1, 2]);
    assert.deepEqual(valueFrom(numbers, ""), []);
  });

  test("leaves out empty pieces and the space around the others", () => {
    assert.deepEqual(valueFrom(numbers, " ,1 ,, 2\t,"), [1, 2]);
  });

  test("tells every piece that is wrong", () => {
    assert.deepEqual(faultsOf(numbers, "0,5,x,10"), ["0 is too small", "x is not a whole number", "10 is too large"]);
  });

  test("says how several are separated", () => {
    assert.equal(numbers.allowed, "whole numbers from 1 to 9; several are separated by commas");
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { formatSize, size } from "../../src/config/numbers.ts";
import { faultsOf, isTaken, valueFrom } from "./parsing.ts";

const anySize = size({ from: 0, to: Number.MAX_SAFE_INTEGER });
const limit = size({ from: 10, to: 2048 });

describe("size", () => {
  test("reads plain bytes, K, M and G in either case", () => {
    const known = {
      "0": 0,
      "68": 68,
      "007": 7,
      "1K": 1024,
      "512k": 524_288,
      "25M": 26_214_400,
      "2m": 2_097_152,
      "1G": 1_073_741_824,
      "3g": 3_221_225_472,
    };
    for (const [text, bytes] of Object.entries(known)) assert.equal(valueFrom(anySize, text), bytes, text);
  });

  test("reads every whole number with every unit", () => {
    const factors = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.constantFrom("", "K", "M", "G"), (number, unit) => {
        assert.equal(valueFrom(anySize, `${number}${unit}`), number * factors[unit as keyof typeof factors]);
      }),
    );
  });

  test("reads back what formatSize writes", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.equal(valueFrom(anySize, formatSize(bytes)), bytes)));
  });

  test("refuses what is not a size", () => {
    for (const text of ["25X", "M", "-1", "+1", "1.5M", "1e3", "25MB", "25 M", "M25", "0x10", "٣", "1K1K", "Infinity"]) {
      assert.deepEqual(faultsOf(anySize, text), [`${text} is not a size`]);
    }
  });

  test("takes only digits with at most one unit, whatever comes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 8 }), (text) => {
        assert.equal(isTaken(anySize, text), /^[0-9]+[kmgKMG]?$/.test(text));
      }),
    );
  });

  test("holds to its range, ends included", () => {
    assert.deepEqual(faultsOf(limit, "9"), ["9 is too small"]);
    assert.equal(valueFrom(limit, "10"), 10);
    assert.equal(valueFrom(limit, "2K"), 2048);
    assert.deepEqual(faultsOf(limit, "2049"), ["2049 is too large"]);
  });

  test("calls a number beyond all numbers too large", () => {
    assert.deepEqual(faultsOf(anySize, "9".repeat(400)), [`${"9".repeat(400)} is too large`]);
    assert.deepEqual(faultsOf(anySize, "9007199254740992"), ["9007199254740992 is too large"]);
  });

  test("tells its range in the shortest exact form", () => {
    assert.equal(size({ from: 1, to: 2_147_483_644 }).allowed, "whole bytes or a number with K, M or G, from 1 to 2147483644");
    assert.equal(size({ from: 0, to: 1024 ** 4 }).allowed, "whole bytes or a number with K, M or G, from 0 to 1024G");
  });
});

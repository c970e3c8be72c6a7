import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { wholeNumber } from "../../src/config/numbers.ts";
import { faultsOf, isTaken, valueFrom } from "./parsing.ts";

const port = wholeNumber({ from: 1, to: 65_535 });

describe("wholeNumber", () => {
  test("holds to its range, ends included", () => {
    assert.deepEqual(faultsOf(port, "0"), ["0 is too small"]);
    assert.equal(valueFrom(port, "1"), 1);
    assert.equal(valueFrom(port, "65535"), 65_535);
    assert.deepEqual(faultsOf(port, "65536"), ["65536 is too large"]);
    assert.deepEqual(faultsOf(port, "9".repeat(400)), [`${"9".repeat(400)} is too large`]);
  });

  test("refuses what is not a whole number", () => {
    for (const text of ["-1", "+1", "1.0", "1e3", "0x1F", "1_000", "ten", "1 2", "１"]) {
      assert.deepEqual(faultsOf(port, text), [`${text} is not a whole number`]);
    }
  });

  test("takes exactly the numbers of its range, whatever comes", () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer().map(String), fc.string({ maxLength: 6 })), (text) => {
        const isPort = /^[0-9]+$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
        assert.equal(isTaken(port, text), isPort);
      }),
    );
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { unscannablePolicy } from "../../src/config/unscannable-policy.ts";
import { unscannableReasons } from "../../src/core/verdict.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

describe("unscannablePolicy", () => {
  test("allows nothing, everything, or the reasons named", () => {
    assert.deepEqual(valueFrom(unscannablePolicy(), "block"), new Set());
    assert.deepEqual(valueFrom(unscannablePolicy(), "allow"), new Set(unscannableReasons));
    assert.deepEqual(valueFrom(unscannablePolicy(), "allow:encrypted"), new Set(["encrypted"]));
    assert.deepEqual(valueFrom(unscannablePolicy(), "Allow: limit-time, ENCRYPTED"), new Set(["limit-time", "encrypted"]));
  });

  test("takes every reason there is", () => {
    for (const reason of unscannableReasons)
      assert.deepEqual(valueFrom(unscannablePolicy(), `allow:${reason}`), new Set([reason]));
  });

  test("refuses what could be meant either way", () => {
    assert.deepEqual(faultsOf(unscannablePolicy(), "allow:"), ["allow: names no reason"]);
    assert.deepEqual(faultsOf(unscannablePolicy(), "allow:,"), ["allow:, names no reason"]);
    for (const text of ["deny", "block:encrypted", "encrypted", "yes", ":"]) {
      assert.deepEqual(faultsOf(unscannablePolicy(), text), [`${text} is not a policy`]);
    }
  });

  test("tells every reason that is none", () => {
    assert.deepEqual(faultsOf(unscannablePolicy(), "allow:virus,encrypted,infected"), [
      "virus is not a reason",
      "infected is not a reason",
    ]);
  });
});

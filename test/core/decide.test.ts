import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decide } from "../../src/core/scan.ts";
import { unscannableReasons, type Verdict } from "../../src/core/verdict.ts";

const none = { allowedReasons: new Set<never>() };
const all = { allowedReasons: new Set(unscannableReasons) };
const unscannable = unscannableReasons.map((reason): Verdict => ({ kind: "unscannable", reason, heuristic: null }));

describe("decide", () => {
  test("lets what is clean pass, and nothing that is infected, whatever is allowed", () => {
    for (const policy of [none, all]) {
      assert.deepEqual(decide({ kind: "clean" }, policy), { isAllowed: true, relaxedFor: null });
      assert.deepEqual(decide({ kind: "infected", signatures: ["X"] }, policy), { isAllowed: false, relaxedFor: null });
    }
  });

  test("blocks all that is unscannable unless its very reason is allowed", () => {
    for (const verdict of unscannable) {
      assert.deepEqual(decide(verdict, none), { isAllowed: false, relaxedFor: null });
      for (const reason of unscannableReasons) {
        const isNamed = verdict.kind === "unscannable" && verdict.reason === reason;
        const expected = { isAllowed: isNamed, relaxedFor: isNamed ? reason : null };
        assert.deepEqual(decide(verdict, { allowedReasons: new Set([reason]) }), expected);
      }
    }
  });
});

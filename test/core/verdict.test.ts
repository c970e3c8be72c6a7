import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { namesOf, unscannableReasons, visible } from "../../src/core/verdict.ts";

describe("namesOf", () => {
  test("says a heuristic of ClamAV's shape where the engine gave none", () => {
    for (const reason of unscannableReasons) {
      const [name = ""] = namesOf({ kind: "unscannable", reason, heuristic: null });
      assert.match(name, /^Heuristics\.Clamgate\.([A-Z][a-z]+)+$/);
    }
    assert.deepEqual(namesOf({ kind: "unscannable", reason: "limit-time", heuristic: null }), ["Heuristics.Clamgate.LimitTime"]);
  });

  test("says what the engine said, and that an infected body has no name", () => {
    assert.deepEqual(namesOf({ kind: "unscannable", reason: "encrypted", heuristic: "Heuristics.Encrypted.Zip" }), [
      "Heuristics.Encrypted.Zip",
    ]);
    assert.deepEqual(namesOf({ kind: "infected", signatures: ["A", "B"] }), ["A", "B"]);
    assert.deepEqual(namesOf({ kind: "infected", signatures: [] }), ["(unnamed)"]);
    assert.deepEqual(namesOf({ kind: "clean" }), []);
  });
});

describe("visible", () => {
  test("fits a header, whatever the names are", () => {
    assert.equal(visible(["A", "B\r\nX: y", "é"]), "A, B??X: y, ?");
    assert.equal(visible(Array.from({ length: 30 }, () => "n".repeat(300))).length, 20 * 200 + 19 * 2);
    assert.equal(visible([]), "");
  });
});

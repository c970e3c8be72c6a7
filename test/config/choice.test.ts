import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { choice, yesOrNo } from "../../src/config/parser.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

describe("choice", () => {
  const colour = choice("a colour", ["red", "blue"]);

  test("takes its words in either case and gives them as they are listed", () => {
    assert.equal(valueFrom(colour, "red"), "red");
    assert.equal(valueFrom(colour, "BLUE"), "blue");
  });

  test("refuses every other word", () => {
    for (const text of ["green", "re", "redd", "red blue", "toString", "__proto__"]) {
      assert.deepEqual(faultsOf(colour, text), [`${text} is not a colour`]);
    }
    assert.equal(colour.allowed, "red, blue");
  });
});

describe("yesOrNo", () => {
  test("knows four words for each", () => {
    for (const text of ["yes", "true", "on", "1", "Yes", "TRUE"]) assert.equal(valueFrom(yesOrNo(), text), true, text);
    for (const text of ["no", "false", "off", "0", "No", "FALSE"]) assert.equal(valueFrom(yesOrNo(), text), false, text);
  });

  test("guesses nothing from other words", () => {
    for (const text of ["y", "n", "2", "enabled", "-1"])
      assert.deepEqual(faultsOf(yesOrNo(), text), [`${text} is not yes or no`]);
  });
});

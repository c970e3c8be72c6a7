import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cut, escapeControls, escapeControlsInJson } from "../../src/observe/escape-controls.ts";

describe("escapeControls", () => {
  test("writes each control character, separator and direction mark as its code", () => {
    assert.equal(escapeControls("a\r\n\t\0\u001b\u007f\u009bz"), "a\\u000d\\u000a\\u0009\\u0000\\u001b\\u007f\\u009bz");
    assert.equal(escapeControls("\u2028\u2029\u202e\u2066"), "\\u2028\\u2029\\u202e\\u2066");
  });

  test("leaves every other text alone", () => {
    for (const text of ["", "report (1).pdf", "naïve 文件 🦠", "back\\slash"]) assert.equal(escapeControls(text), text);
  });
});

describe("escapeControlsInJson", () => {
  test("changes no value and leaves nothing that breaks a line or steers a terminal", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const json = escapeControlsInJson(JSON.stringify(text));
        assert.equal(JSON.parse(json), text);
        assert.equal(escapeControls(json), json);
      }),
    );
  });
});

describe("cut", () => {
  test("keeps n-1 and n units and cuts n+1", () => {
    assert.equal(cut("abc", 4), "abc");
    assert.equal(cut("abcd", 4), "abcd");
    assert.equal(cut("abcde", 4), "abcd");
  });

  test("never ends in half a character", () => {
    assert.equal(cut("abc🦠d", 4), "abc");
    assert.equal(cut("ab🦠d", 4), "ab🦠");
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cut, escapeControls, escapeControlsInJson, jsonString } from "../../src/log/escape-controls.ts";
import { anyString } from "../any-string.ts";

/** What a terminal does not show, or shows as a change of what stands beside it. */
const invisible = {
  "direction marks": ["\u061c", "\u200e", "\u200f", ..."\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"],
  "characters without width": [..."\u00ad\u034f\u180e\u200b\u200c\u200d\u2060\u2064\u206f\ufeff"],
  "letters without a shape": [..."\u115f\u1160\u17b4\u3164\uffa0"],
  "variation selectors": ["\ufe00", "\ufe0f", "\u180b", "\u{e0100}", "\u{e01ef}"],
  tags: ["\u{e0001}", "\u{e0020}", "\u{e007f}"],
  "marks of annotations and of shorthand": ["\ufff9", "\ufffb", "\u{1bca0}", "\u{1d173}"],
  "halves of characters": ["\ud800", "\udbff", "\udc00", "\udfff"],
} as const;

describe("escapeControls", () => {
  test("writes each control character, separator and direction mark as its code", () => {
    assert.equal(escapeControls("a\r\n\t\0\u001b\u007f\u009bz"), "a\\u000d\\u000a\\u0009\\u0000\\u001b\\u007f\\u009bz");
    assert.equal(escapeControls("\u2028\u2029\u202e\u2066"), "\\u2028\\u2029\\u202e\\u2066");
  });

  for (const [name, characters] of Object.entries(invisible)) {
    test(`writes ${name} as codes, in text and in JSON`, () => {
      for (const character of characters) {
        const code = Array.from({ length: character.length }, (_, unit) => {
          return `\\u${character.charCodeAt(unit).toString(16).padStart(4, "0")}`;
        }).join("");
        assert.equal(escapeControls(`a${character}b`), `a${code}b`);
        const json = escapeControlsInJson(`"a${character}b"`);
        assert.equal(json, `"a${code}b"`);
        assert.equal(JSON.parse(json), `a${character}b`);
      }
    });
  }

  test("leaves every other text alone", () => {
    for (const text of ["", "report (1).pdf", "naïve 文件 🦠", "back\\slash"]) assert.equal(escapeControls(text), text);
  });
});

describe("escapeControlsInJson", () => {
  test("changes no value and leaves nothing that breaks a line or steers a terminal", () => {
    fc.assert(
      fc.property(anyString(), (text) => {
        const json = escapeControlsInJson(JSON.stringify(text));
        assert.equal(JSON.parse(json), text);
        assert.equal(escapeControls(json), json);
      }),
    );
  });
});

describe("jsonString", () => {
  test("gives each character of the first planes back to whoever parses it, and none that is unsafe", () => {
    for (let code = 0; code < 0x11_000; code += 1) {
      const text = `a${String.fromCodePoint(code)}b`;
      const json = jsonString(text);
      if (JSON.parse(json) !== text || json !== escapeControlsInJson(JSON.stringify(text))) assert.fail(code.toString(16));
    }
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

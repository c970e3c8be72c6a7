import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { goJsonString } from "../../../src/front/rest/result.ts";
import { anyString } from "../../any-string.ts";

describe("goJsonString (rest.md 8)", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["", '""'],
    ["a<b>&c", '"a\\u003cb\\u003e\\u0026c"'],
    ["line\u2028and\u2029", '"line\\u2028and\\u2029"'],
    ['quote " and \\', '"quote \\" and \\\\"'],
    ["\0\r\n\t\u001f", '"\\u0000\\r\\n\\t\\u001f"'],
    ["not UTF-8: \ufffd", '"not UTF-8: \\ufffd"'],
    ["half a pair \ud800", '"half a pair \\ufffd"'],
    ["ümlaut 日本 😀", '"ümlaut 日本 😀"'],
  ];
  for (const [text, written] of cases) {
    test(`writes ${JSON.stringify(text)} as Go does`, () => assert.equal(goJsonString(text), written));
  }

  test("is JSON that says the same, for any text", () => {
    fc.assert(
      fc.property(anyString(), (text) => {
        assert.equal(JSON.parse(goJsonString(text)), text.toWellFormed());
      }),
    );
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseMediaType } from "../../src/codec/media-type.ts";
import { anyString } from "../any-string.ts";

describe("parseMediaType", () => {
  test("answers any string with a value or null, and soon", () => {
    fc.assert(
      fc.property(anyString(), fc.stringMatching(/^[;= "\\a*0'%é\r\n-]*$/), (some, other) => {
        parseMediaType(some);
        parseMediaType(`a/b${other}`);
      }),
    );
    const many = `a/b${Array.from({ length: 10_000 }, (_, index) => `; p${index}=v`).join("")}`;
    assert.equal(parseMediaType(many)?.parameters.size, 10_000);
  });

  test("is not led astray by names of Object.prototype", () => {
    const parsed = parseMediaType("a/b; __proto__=x; constructor*=UTF-8''y");
    assert.deepEqual(
      [...(parsed?.parameters ?? [])],
      [
        ["__proto__", "x"],
        ["constructor", "y"],
      ],
    );
  });
});

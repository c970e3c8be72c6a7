import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { bodyKind, parseMediaType } from "../../src/codec/media-type.ts";

describe("bodyKind", () => {
  const multipart: readonly (readonly [string, string])[] = [
    ["multipart/form-data; boundary=abc", "abc"],
    ["Multipart/Form-Data;BOUNDARY=AbC", "AbC"],
    ["multipart/mixed; boundary=abc", "abc"],
    ['multipart/form-data; charset=utf-8; boundary="a b;c=d"', "a b;c=d"],
    ['multipart/form-data; boundary="a\\"b"', 'a"b'],
    ["multipart/form-data ; boundary = abc ; ", "abc"],
    ["multipart/form-data; boundary=abc; boundary=abc", "abc"],
  ];
  for (const [value, boundary] of multipart) {
    test(`finds the boundary in ${value}`, () => assert.deepEqual(bodyKind(value), { kind: "multipart", boundary }));
  }

  const notMultipart = [
    undefined,
    "",
    "text/plain",
    "multipart/related; boundary=abc",
    "multipart/form-datas; boundary=abc",
    "/; boundary=abc",
    "multipart/form-data, multipart/form-data; boundary=abc",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=a b",
    'multipart/form-data; boundary="abc',
    "multipart/form-data; boundary=abc; boundary=def",
    "multipart/form-data; boundary=abc;;",
    "multipart/form-data; =abc",
  ];
  for (const value of notMultipart) {
    test(`does not take ${value ?? "no header"} for multipart`, () =>
      assert.deepEqual(bodyKind(value), { kind: "not-multipart" }));
  }

  for (const value of [
    "multipart/form-data",
    "multipart/form-data;",
    "multipart/mixed; charset=utf-8",
    'multipart/form-data; boundary=""',
  ]) {
    test(`misses the boundary in ${value}`, () => assert.deepEqual(bodyKind(value), { kind: "no-boundary" }));
  }
});

describe("parseMediaType", () => {
  test("answers any string with a value or null, and soon", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.stringMatching(/^[;= "\\a*0'%é\r\n-]*$/), (some, other) => {
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

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bodyKind, checkBoundary } from "../../../src/codec/multipart/boundary.ts";
import { ProtocolError } from "../../../src/codec/protocol-error.ts";

describe("bodyKind", () => {
  const multipart: readonly (readonly [string, string])[] = [
    ["multipart/form-data; boundary=abc", "abc"],
    ["Multipart/Form-Data;BOUNDARY=AbC", "AbC"],
    ["multipart/mixed; boundary=abc", "abc"],
    ['multipart/form-data; charset=utf-8; boundary="a b:c=d"', "a b:c=d"],
    ["multipart/form-data; boundary=abc; charset=UTF-8", "abc"],
    ["multipart/form-data; \tboundary=abc;", "abc"],
    ["multipart/form-data; boundary=----WebKitFormBoundary7MA4", "----WebKitFormBoundary7MA4"],
    ["multipart/form-data; boundary=dart-http-boundary-x", "dart-http-boundary-x"],
  ];
  for (const [value, boundary] of multipart) {
    test(`finds the boundary in ${value}`, () => assert.deepEqual(bodyKind([value]), { kind: "multipart", boundary }));
  }

  const notMultipart = [
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
    test(`does not take ${JSON.stringify(value)} for multipart`, () =>
      assert.deepEqual(bodyKind([value]), { kind: "not-multipart" }));
  }
  test("does not take a request without Content-Type for multipart", () =>
    assert.deepEqual(bodyKind([]), { kind: "not-multipart" }));

  for (const value of [
    "multipart/form-data",
    "multipart/form-data;",
    "multipart/mixed; charset=utf-8",
    'multipart/form-data; boundary=""',
  ]) {
    test(`misses the boundary in ${value}`, () => assert.deepEqual(bodyKind([value]), { kind: "no-boundary" }));
  }

  /** Each is read as two boundaries, or as one with other characters, by two readers at least. */
  const ambiguous: readonly (readonly [title: string, ...values: string[]])[] = [
    ["two lines", "multipart/form-data; boundary=A", "multipart/form-data; boundary=B"],
    ["two equal lines", "multipart/form-data; boundary=A", "multipart/form-data; boundary=A"],
    ["another type in a second line", "multipart/form-data; boundary=A", "text/plain"],
    ["the boundary twice", "multipart/form-data; boundary=A; boundary=A"],
    ["the boundary twice in two cases", "multipart/form-data; boundary=A; BOUNDARY=A"],
    ["a starred boundary", "multipart/form-data; boundary=A; boundary*=us-ascii''B"],
    ["a starred boundary first", "multipart/form-data; Boundary*=us-ascii''B; boundary=A"],
    ["a starred boundary alone", "multipart/form-data; boundary*=us-ascii''B"],
    ["a continued boundary", "multipart/form-data; boundary=A; boundary*0=B; boundary*1=C"],
    ["a continued boundary alone", "multipart/form-data; BOUNDARY*0=B"],
    ["a look-alike within a value", 'multipart/form-data; x="; boundary=A;"; boundary=B'],
    ["a look-alike within a value behind it", 'multipart/form-data; boundary=B; x="; boundary=A;"'],
    ["a name that ends like it", "multipart/form-data; xboundary=A; boundary=B"],
    ["the word as a value", "multipart/form-data; charset=boundary; boundary=B"],
    ["a boundary that speaks of a boundary", 'multipart/form-data; boundary="boundary=A"'],
    ["a name in capitals with the word behind it", "multipart/form-data; BOUNDARY=boundary; x=A"],
    ["a blank before the equals sign", "multipart/form-data; boundary =A"],
    ["a no-break space behind the type", "multipart/form-data\xa0; boundary=A"],
    ["a no-break space before the type", "\xa0multipart/form-data; boundary=A"],
    ["a no-break space behind the semicolon", "multipart/form-data;\xa0boundary=A"],
    ["a no-break space behind the boundary", "multipart/form-data; boundary=A\xa0"],
    ["a blank behind the equals sign", "multipart/form-data; boundary= A"],
    ["a blank before the semicolon", "multipart/form-data ; boundary=A"],
    ["a blank behind the boundary", "multipart/form-data; boundary=A ; charset=utf-8"],
    ["an escaped character", 'multipart/form-data; boundary="a\\"b"'],
    ["an escaped character in another value", 'multipart/form-data; x="a\\"b"; boundary=A'],
    ["a byte above 0x7f", 'multipart/form-data; x="\xe4"; boundary=A'],
    ["a tab in the boundary", 'multipart/form-data; boundary="a\tb"'],
  ];
  for (const [title, ...values] of ambiguous) {
    test(`calls ${title} ambiguous: ${JSON.stringify(values.join(" | "))}`, () => {
      const found = bodyKind(values);
      assert.equal(found.kind, "ambiguous");
      assert.match(found.why, /^Content-Type /);
    });
  }
});

describe("checkBoundary", () => {
  for (const boundary of [
    "a",
    "a".repeat(70),
    "---------------------------7e33a1b1a0",
    "----=_Part_0_1234.5678",
    "=====1234==",
    "*****",
    "a b",
    "'()+_-./:=",
  ]) {
    test(`takes ${boundary}`, () => checkBoundary(boundary));
  }

  for (const boundary of [
    "",
    "a".repeat(71),
    "a ",
    " a",
    " ",
    "a,b",
    "=?utf-8?q?a?=",
    "a;b",
    'a"b',
    "a\\b",
    "a\r\nb",
    "a\0",
    "\x7f",
    "\xe4",
    "€",
  ]) {
    test(`refuses ${JSON.stringify(boundary)}`, () => {
      assert.throws(() => checkBoundary(boundary), ProtocolError);
    });
  }
});

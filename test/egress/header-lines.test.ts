import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hopByHopNames, isWritable, listOf, soleValue } from "../../src/egress/header-lines.ts";

describe("soleValue (P4)", () => {
  test("finds a header that stands once, whatever its case", () => {
    assert.deepEqual(soleValue(["Host", "x", "DOWNLOAD-from", " http://h/ "], "download-from"), {
      kind: "value",
      value: "http://h/",
    });
  });

  test("tells repeated ones, which Node would join, also when they are equal", () => {
    const lines = ["Download-From", "http://h/", "download-from", "http://h/"];
    assert.deepEqual(soleValue(lines, "download-from"), { kind: "repeated" });
    assert.deepEqual(soleValue(["Download-From", "", "Download-From", "x"], "download-from"), { kind: "repeated" });
  });

  test("calls an empty or missing one absent", () => {
    assert.deepEqual(soleValue(["Download-From", "  "], "download-from"), { kind: "absent" });
    assert.deepEqual(soleValue([], "download-from"), { kind: "absent" });
  });
});

describe("listOf", () => {
  test("gathers the elements of all lines and drops empty ones", () => {
    assert.deepEqual(listOf(["Via", "1.1 a, 1.1 b,,", "X", "y", "via", " 1.0 c "], "via"), ["1.1 a", "1.1 b", "1.0 c"]);
  });
});

test("takes off spaces and tabs, and nothing else that some call a blank", () => {
  const lines = ["A", "\t \xa0x\xa0 ,\xa0, \ufeffy\v \t"];
  assert.deepEqual(soleValue(lines, "a"), { kind: "value", value: "\xa0x\xa0 ,\xa0, \ufeffy\v" });
  assert.deepEqual(listOf(lines, "a"), ["\xa0x\xa0", "\xa0", "\ufeffy\v"]);
  assert.ok(!hopByHopNames(["Connection", "close, x-a\xa0"]).has("x-a"));
});

describe("isWritable (S15)", () => {
  test("takes tokens and values without control characters", () => {
    assert.ok(isWritable("X-A_b", "a\tb \xff~"));
    for (const name of ["", "a b", "a:", "a\r", "\xe9"]) assert.ok(!isWritable(name, "x"), JSON.stringify(name));
    for (const value of ["a\r\nX: y", "a\n", "a\0", "\x7f", "\u0100"]) assert.ok(!isWritable("x", value), JSON.stringify(value));
  });
});

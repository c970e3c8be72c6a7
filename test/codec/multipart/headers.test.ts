import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parsePartHeaders } from "../../../src/codec/multipart/headers.ts";
import { ProtocolError } from "../../../src/codec/protocol-error.ts";

function headers(block: string | Uint8Array): Record<string, string> {
  return Object.fromEntries(parsePartHeaders(typeof block === "string" ? Buffer.from(block, "utf8") : block, 100));
}

describe("parsePartHeaders", () => {
  test("reads names in lower case and values without blanks around them", () => {
    assert.deepEqual(headers("Content-TYPE: text/plain \r\nA:\tb c\t\nEmpty:\r\n"), {
      "content-type": "text/plain",
      a: "b c",
      empty: "",
    });
  });

  test("keeps the first of several", () => {
    assert.deepEqual(headers("A: first\r\na: second\r\n"), { a: "first" });
  });

  test("joins folded lines with one blank", () => {
    assert.deepEqual(headers("A: one\r\n \t two\r\n\tthree\r\nB: x\r\n"), { a: "one two three", b: "x" });
    assert.deepEqual(headers("A: one\r\n  \r\n two\r\n"), { a: "one  two" });
  });

  test("reads UTF-8 and replaces what is not", () => {
    assert.deepEqual(headers("A: käse\r\n"), { a: "käse" });
    assert.deepEqual(headers(Buffer.from("A: \xff\xe4\r\n", "latin1")), { a: "\ufffd\ufffd" });
  });

  test("refuses what Go refuses", () => {
    for (const block of [
      " A: b\r\n",
      "\tA: b\r\n",
      "A\r\n",
      "A : b\r\n",
      ": b\r\n",
      "Ä: b\r\n",
      "A: \0\r\n",
      "A: b\rc\r\n",
      "A: \x7f\r\n",
      "A: b\r\r\n",
    ]) {
      assert.throws(() => headers(block), ProtocolError, JSON.stringify(block));
    }
  });

  test("reads a header folded thirty thousand times at once", () => {
    assert.equal(headers(`A: b\r\n${" c\n".repeat(30_000)}`).a?.length, 60_001);
  });
});

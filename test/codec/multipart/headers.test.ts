import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parsePartHeaders } from "../../../src/codec/multipart/headers.ts";
import { ProtocolError } from "../../../src/codec/protocol-error.ts";

function parse(block: string | Uint8Array, lineEnd: "\n" | "\r\n" = "\r\n") {
  return parsePartHeaders(Buffer.from(block as string), lineEnd, 100);
}

function headers(block: string | Uint8Array): Record<string, string> {
  return Object.fromEntries(parse(block).fields);
}

describe("parsePartHeaders", () => {
  test("reads names in lower case and values without blanks around them", () => {
    const expected = { "content-type": "text/plain", a: "b c", empty: "" };
    assert.deepEqual(headers("Content-TYPE: text/plain \r\nA:\tb c\t\r\nEmpty:\r\n"), expected);
    assert.deepEqual(Object.fromEntries(parse("Content-Type:text/plain\nA: b c\nEmpty:\n", "\n").fields), expected);
  });

  test("keeps the first of several that mean nothing", () => {
    assert.deepEqual(headers("A: first\r\na: second\r\n"), { a: "first" });
  });

  test("reads UTF-8 and replaces what is not", () => {
    assert.deepEqual(headers("A: k\u00e4se\r\n"), { a: "k\u00e4se" });
    assert.deepEqual(headers(Buffer.from("A: \xff\xe4\r\n", "latin1")), { a: "\ufffd\ufffd" });
  });

  test("tells the transfer coding, in any case", () => {
    const coding = (value: string) => parse(`Content-transfer-encoding: ${value}\r\n`).transferCoding;
    assert.equal(parse("A: b\r\n").transferCoding, null);
    for (const value of ["7bit", "8BIT", "binary"]) assert.equal(coding(value), null);
    assert.equal(coding("Base64"), "base64");
    assert.equal(coding("QUOTED-printable"), "quoted-printable");
  });

  test("tells the Content-Length", () => {
    assert.equal(parse("A: b\r\n").contentLength, null);
    assert.equal(parse("Content-Length: 012\r\n").contentLength, 12);
  });

  const taken: readonly string[] = [
    "Content-Type: text/plain; boundary=N\r\n",
    "Content-Type: text/plain;charset=utf-8\r\n",
    "Content-Type: text/plain; charset=; format=flowed ;\r\n",
    'Content-Type: image/jpeg; name="k\u00e4se, \\"a\\"; b.jpg"\r\n',
    "Content-Type: application/vnd.api+json; name*=utf-8''k%C3%A4se\r\n",
    "Content-Type:\r\n",
    "Content-Type: null\r\n",
    "Content-Encoding: Identity\r\n",
    `Content-Disposition: form-data; filename="${"n".repeat(4_000)}"\r\n`,
  ];
  for (const block of taken) test(`takes ${JSON.stringify(block.slice(0, 60))}`, () => assert.ok(parse(block)));

  const refused: readonly (readonly [string, RegExp])[] = [
    ["", /no headers/],
    [" A: b\r\n", /folded/],
    ["\tA: b\r\n", /folded/],
    ["A: b\r\n c\r\n", /folded/],
    ["Content-Disposition: form-data; name=f;\r\n filename=a\r\n", /folded/],
    ["A: b\r\n  \r\n", /folded/],
    ["Content-Disposition: form-data; name=f;\u0085filename=a\r\n", /control character/],
    ["A\r\n", /no colon/],
    ["A : b\r\n", /malformed name/],
    [": b\r\n", /malformed name/],
    ["\u00c4: b\r\n", /malformed name/],
    ["From x: y\r\n", /malformed name/],
    ["A: \0\r\n", /control/],
    ["A: b\rc\r\n", /control/],
    ["A: b\nc: d\r\n", /control/],
    ["A: \x7f\r\n", /control/],
    ["A: b\r\r\n", /control/],
    ["A: \x0b\r\n", /control/],
    ["Content-Type: a/b\r\nContent-type: a/b\r\n", /content-type more than once/],
    ["Content-Disposition: form-data\r\nX: y\r\ncontent-disposition: form-data\r\n", /content-disposition more than once/],
    ["Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n", /content-transfer-encoding more than once/],
    ["Content-Length: 1\r\nContent-Length: 1\r\n", /content-length more than once/],
    ["Content-Transfer-Encoding: x-uuencode\r\n", /unknown Content-Transfer-Encoding "x-uuencode"/],
    ["Content-Transfer-Encoding: base64, 7bit\r\n", /unknown Content-Transfer-Encoding/],
    ["Content-Transfer-Encoding: base64; a=b\r\n", /unknown Content-Transfer-Encoding/],
    ['Content-Transfer-Encoding: "base64"\r\n', /unknown Content-Transfer-Encoding/],
    ["Content-Transfer-Encoding:\r\n", /unknown Content-Transfer-Encoding ""/],
    ["Content-Length: 1.0\r\n", /Content-Length "1.0"/],
    ["Content-Length: -1\r\n", /Content-Length/],
    ["Content-Length: 1, 1\r\n", /Content-Length/],
    ["Content-Length:\r\n", /Content-Length/],
    ["Content-Encoding: gzip\r\n", /Content-Encoding "gzip"/],
    ["Content-Type: multipart/mixed; boundary=N\r\n", /multipart type/],
    ["Content-Type: Multipart/form-data\r\n", /multipart type/],
    ['Content-Type: "multipart/mixed"; boundary=N\r\n', /multipart type/],
    ["Content-Type: text/plain, multipart/mixed; boundary=N\r\n", /multipart type/],
    ["Content-Type: message/rfc822\r\n", /message type/],
    ["Content-Type: Message/Partial; id=a\r\n", /message type/],
    ["Content-Type: text/plain, message/rfc822\r\n", /message type/],
    ["Content-Type: =?utf-8?q?m=75ltipart/mixed?=; boundary=zz\r\n", /Content-Type "=\?utf-8/],
    ["Content-Type: =?utf-8?b?bWVzc2FnZS9yZmM4MjI=?=\r\n", /Content-Type/],
    ['Content-Type: text/plain; name="=?utf-8?q?a?="\r\n', /Content-Type/],
    ["Content-Type: a/b, c/d\r\n", /Content-Type/],
    ["Content-Type: a/b c/d\r\n", /Content-Type/],
    ["Content-Type: a/b/c\r\n", /Content-Type/],
    ["Content-Type: message (a) /rfc822\r\n", /Content-Type/],
    ["Content-Type: message\r\n", /Content-Type "message"/],
    ["Content-Type: a/\r\n", /Content-Type/],
    ["Content-Type: ; charset=utf-8\r\n", /Content-Type/],
    ["Content-Type: a/b; name\r\n", /Content-Type/],
    ["Content-Type: a/b; name = c\r\n", /Content-Type/],
    ['Content-Type: a/b; name="c\r\n', /Content-Type/],
    [`Content-Type: a/b${"; a=".repeat(900)}"\r\n`, /Content-Type/],
    [`A: ${"b".repeat(4_094)}\r\n`, /more than 4096 bytes/],
  ];
  for (const [block, message] of refused) {
    test(`refuses ${JSON.stringify(block.slice(0, 80))}`, () => {
      assert.throws(
        () => parse(block),
        (thrown) => thrown instanceof ProtocolError && message.test(thrown.message),
      );
    });
  }

  test("takes a line of the longest length", () => {
    assert.equal(headers(`A: ${"b".repeat(4_093)}\r\n`).a?.length, 4_093);
  });
});

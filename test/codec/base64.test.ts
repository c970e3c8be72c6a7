import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Base64Decoder } from "../../src/codec/base64.ts";
import { ProtocolError } from "../../src/codec/protocol-error.ts";

function decode(chunks: Iterable<Uint8Array>): Buffer {
  const decoder = new Base64Decoder();
  const decoded = Array.from(chunks, (chunk) => Buffer.from(decoder.feed(chunk)));
  decoder.finish();
  return Buffer.concat(decoded);
}

const latin1 = (text: string) => Buffer.from(text, "latin1");
const singly = (text: string) => Array.from(latin1(text), (byte) => Uint8Array.of(byte));

describe("Base64Decoder", () => {
  for (const [encoded, expected] of [
    ["", ""],
    ["\r\n", ""],
    ["Zg==", "f"],
    ["Zm8=", "fo"],
    ["Zm9v", "foo"],
    ["Zm9v\r\nYmFy\r\n", "foobar"],
    ["Zm9v\nYmFyZg==\n\n", "foobarf"],
    ["\r\nZm9vYmFy", "foobar"],
    ["/+8=", "\xff\xef"],
  ] as const) {
    test(`decodes ${JSON.stringify(encoded)}`, () => {
      assert.equal(decode([latin1(encoded)]).toString("latin1"), expected);
      assert.equal(decode(singly(encoded)).toString("latin1"), expected);
    });
  }

  for (const encoded of [
    "Z",
    "Zg",
    "Zg=",
    "Zm8",
    "=",
    "Z=",
    "Z===",
    "====",
    "Zg===",
    "Zm9v=",
    "Zg==Zg==",
    "Zg==\r\nZm9v",
    "Zm8=Zm9v",
    "Zg=v",
    "Zg=\r\n=",
    "Zm 9v",
    "Zm9v ",
    "Zm9v\t\r\n",
    "Zm9v\r",
    "Zm9v\rYmFy",
    "Zm9v\r\r\n",
    "Zm\r\n9v",
    "Zm9vY\nmFy",
    "Zm9v\0",
    "Zm9v-_==",
    "_-8=",
    "Zm9v*YmFy",
    "Zm9v\xa0",
    "Zm9v\xff",
    "Zm9v.",
    "%5a%67==",
  ]) {
    test(`refuses ${JSON.stringify(encoded)}`, () => {
      assert.throws(() => decode([latin1(encoded)]), ProtocolError);
      assert.throws(() => decode(singly(encoded)), ProtocolError);
    });
  }

  test("gives back whatever was encoded, in lines or not, however it is cut", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.constantFrom("", "\r\n", "\n"),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(600),
        (body, lineEnd, quarters, cut) => {
          const plain = Buffer.from(body).toString("base64");
          const encoded = latin1(plain.replace(new RegExp(`(.{${quarters * 4}})`, "g"), `$1${lineEnd}`));
          assert.ok(decode([encoded.subarray(0, cut), encoded.subarray(cut)]).equals(Buffer.from(body)));
        },
      ),
    );
  });

  test("refuses, or reads what Node reads", () => {
    const piece = fc.constantFrom("A", "Q", "g", "==", "=", "\r\n", "\n", "\r", "Zm9v", "/", "+", "-", " ", "\0");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const encoded = pieces.join("");
        let decoded: Buffer;
        try {
          decoded = decode([latin1(encoded)]);
        } catch (thrown) {
          assert.ok(thrown instanceof ProtocolError);
          return;
        }
        assert.ok(decoded.equals(Buffer.from(encoded, "base64")), JSON.stringify(encoded));
      }),
      { numRuns: 5_000 },
    );
  });
});

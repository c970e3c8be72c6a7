import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../src/codec/protocol-error.ts";
import { QuotedPrintableDecoder } from "../../src/codec/quoted-printable.ts";
import { bytes, bytesOf } from "./multipart/driver.ts";

function decode(chunks: Iterable<Uint8Array>): string {
  const decoder = new QuotedPrintableDecoder();
  let decoded = "";
  for (const chunk of chunks) decoded += Buffer.from(decoder.feed(chunk)).toString("latin1");
  decoder.finish();
  return decoded;
}

/** Whole, byte by byte and cut at every offset. */
function decodeInEveryCut(text: string): string {
  const whole = bytes(text);
  const decoded = decode([whole]);
  assert.equal(decode(bytesOf(whole)), decoded);
  for (let cut = 0; cut <= whole.length; cut += 1) {
    assert.equal(decode([whole.subarray(0, cut), whole.subarray(cut)]), decoded, `cut at ${cut}`);
  }
  return decoded;
}

describe("QuotedPrintableDecoder", () => {
  const vectors: readonly (readonly [string, string])[] = [
    ["", ""],
    ["foo bar", "foo bar"],
    ["foo=3Dbar=3d", "foo=bar="],
    ["=00=FF=0A", "\0\xff\n"],
    ["soft=\r\nbreak=\nagain", "softbreakagain"],
    ["soft =\r\nbreak=\r\n", "soft break"],
    ["hard\r\nbreak\n", "hard\r\nbreak\n"],
    ["raw \xe4\xff", "raw \xe4\xff"],
    [" x\t=20\r\n", " x\t \r\n"],
  ];
  for (const [encoded, expected] of vectors) {
    test(`decodes ${JSON.stringify(encoded)}`, () => assert.equal(decodeInEveryCut(encoded), expected));
  }

  for (const encoded of [
    "nul\0",
    "bell\x07\r\n",
    "del\x7f",
    "=",
    "=\rx\r\n",
    "a=\r\r\n",
    "a==\r\nb",
    "trailing \r\n",
    "trailing\t\n",
    "trailing ",
    "a CR too many\r\r\n",
    "in\rside\r\n",
    "at the end\r",
    "not hex =XY",
    "not hex =4",
    "=4=\r\nx",
    "=4",
    "= ",
    "soft= \r\nbreak",
    "at the end=",
    "at the end=\r",
  ]) {
    test(`refuses ${JSON.stringify(encoded)}`, () => {
      assert.throws(() => decode([bytes(encoded)]), ProtocolError);
      assert.throws(() => decode(bytesOf(bytes(encoded))), ProtocolError);
    });
  }

  test("reads lines of any length", () => {
    assert.equal(decode([bytes("x".repeat(200_000)), bytes("\n")]).length, 200_001);
  });

  test("gives back whatever was encoded", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (body, cut) => {
        const encoded = bytes(
          Array.from(body, (byte, index) => `=${byte.toString(16).padStart(2, "0")}${index % 20 === 19 ? "=\r\n" : ""}`).join(""),
        );
        assert.equal(decode([encoded.subarray(0, cut), encoded.subarray(cut)]), Buffer.from(body).toString("latin1"));
      }),
    );
  });

  test("ends or refuses any bytes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.uint8Array({ maxLength: 8 }), fc.constantFrom("=", "\r\n", "=\n", " ", "=4").map(bytes))),
        (chunks) => {
          try {
            decode(chunks);
          } catch (thrown) {
            assert.ok(thrown instanceof ProtocolError);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

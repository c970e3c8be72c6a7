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
  return decoded + Buffer.from(decoder.finish()).toString("latin1");
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
    ["soft= \t\r\nbreak", "softbreak"],
    ["hard\r\nbreak\n", "hard\r\nbreak\n"],
    ["trailing \t \r\nblanks  \nand more  ", "trailing\r\nblanks\nand more"],
    ["a CR too many\r\r\n", "a CR too many\r\n"],
    ["in\rside\r\n", "in\rside\r\n"],
    ["not hex =XY =4 =", "not hex =XY =4 "],
    ["=4=\r\nx", "=4x"],
    ["at the end=", "at the end"],
    ["at the end= ", "at the end"],
    ["raw \xe4\xff", "raw \xe4\xff"],
    [" \r\n", "\r\n"],
  ];
  for (const [encoded, expected] of vectors) {
    test(`decodes ${JSON.stringify(encoded)}`, () => assert.equal(decodeInEveryCut(encoded), expected));
  }

  for (const encoded of ["nul\0", "bell\x07\r\n", "del\x7f", "=", "=\rx\r\n", "a=\r\r\n", "a==\r\nb"]) {
    test(`refuses ${JSON.stringify(encoded)}`, () => {
      assert.throws(() => decode([bytes(encoded)]), ProtocolError);
      assert.throws(() => decode(bytesOf(bytes(encoded))), ProtocolError);
    });
  }

  test("reads lines of 64 KiB and refuses longer ones", () => {
    assert.equal(decode([bytes("x".repeat(65_535)), bytes("\n")]).length, 65_536);
    assert.throws(() => decode([bytes("x".repeat(65_537))]), ProtocolError);
    assert.throws(() => decode([bytes("x".repeat(65_536)), bytes("\n")]), ProtocolError);
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

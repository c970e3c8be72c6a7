import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { constants, zstdCompressSync } from "node:zlib";
import { ZstdFrames } from "../../src/core/content-coding.ts";
import { costMs } from "../cost.ts";

const skippable = Buffer.from("502a4d1803000000616263", "hex");

function isSole(bytes: Buffer, pieceBytes = bytes.length): boolean {
  const frames = new ZstdFrames();
  for (let at = 0; at < bytes.length; at += pieceBytes) frames.feed(bytes.subarray(at, at + pieceBytes));
  return frames.isSole;
}

/** Of each kind of header: with and without a checksum, and from no block to several, raw, repeated and compressed. */
const wholes = [0, 1, 200, 300, 70_000, 300_000].flatMap((size) =>
  [0, 1].flatMap((checksum) =>
    [
      Buffer.alloc(size, "repeated"),
      Buffer.alloc(size),
      Buffer.from(Array.from({ length: size }, (_, at) => (at * at * 31) % 251)),
    ].map((content) => zstdCompressSync(content, { params: { [constants.ZSTD_c_checksumFlag]: checksum } })),
  ),
);

describe("ZstdFrames", () => {
  test("knows one whole frame, however it is cut", () => {
    for (const whole of wholes) {
      for (const pieceBytes of [1, 3, 1000, whole.length])
        assert.equal(isSole(whole, pieceBytes), true, whole.toString("hex").slice(0, 40));
    }
  });

  test("knows frames to be skipped around it", () => {
    for (const whole of wholes) assert.equal(isSole(Buffer.concat([skippable, whole, skippable, skippable]), 2), true);
  });

  test("knows a second frame, and anything else behind the first", () => {
    for (const whole of wholes) {
      for (const more of [
        whole,
        Buffer.from([0]),
        Buffer.from("(\xb5", "latin1"),
        skippable.subarray(0, -1),
        Buffer.from("text"),
      ])
        assert.equal(isSole(Buffer.concat([whole, more])), false);
    }
  });

  test("knows a frame that is cut", () => {
    for (const whole of wholes) {
      for (const cut of [1, 2, 3, 4, 5]) assert.equal(isSole(whole.subarray(0, -cut)), false);
    }
    assert.equal(isSole(Buffer.alloc(0)), false);
    assert.equal(isSole(skippable), false);
  });

  test("goes through a body of the smallest blocks at once", () => {
    const head = wholes[0]?.subarray(0, 6) ?? assert.fail();
    const body = Buffer.concat([head, Buffer.alloc(30_000_000)]);
    const ms = costMs(() => assert.equal(isSole(body, 65_536), false));
    assert.ok(ms < 5_000, `${ms} ms`);
  });
});

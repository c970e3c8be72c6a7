import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { freeChunk } from "../../src/core/chunk-source.ts";

describe("freeChunk", () => {
  test("empties what has its memory for itself", () => {
    const chunk = Buffer.allocUnsafeSlow(64 * 1024);
    freeChunk(chunk);
    assert.deepEqual([chunk.length, chunk.buffer.byteLength], [0, 0]);
    freeChunk(chunk);
  });

  test("leaves parts of something larger, small ones and shared memory alone", () => {
    const large = Buffer.alloc(128 * 1024, "x");
    const shared = new Uint8Array(new SharedArrayBuffer(64 * 1024));
    const chunks = [large.subarray(0, 64 * 1024), large.subarray(1), Buffer.allocUnsafe(1000), Buffer.alloc(16_383), shared];
    const lengths = chunks.map(({ length }) => length);
    for (const chunk of chunks) freeChunk(chunk);
    assert.deepEqual(
      chunks.map(({ length }) => length),
      lengths,
    );
    assert.equal(
      large.every((byte) => byte === 120),
      true,
    );
  });
});

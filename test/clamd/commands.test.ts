import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { readAhead } from "../../src/clamd/commands.ts";

describe("readAhead", () => {
  test("gives every piece in order, and asks for one more than it has given", async () => {
    const asked: number[] = [];
    const seen: number[][] = [];
    async function* source(): AsyncGenerator<number> {
      for (let piece = 1; piece <= 4; piece += 1) {
        asked.push(piece);
        yield piece;
      }
    }
    for await (const piece of readAhead(source())) seen.push([piece, asked.length]);
    assert.deepEqual(seen, [
      [1, 2],
      [2, 3],
      [3, 4],
      [4, 4],
    ]);
  });

  test("throws what the source throws, after the pieces before it", async () => {
    const fault = new Error("the disk is gone");
    async function* source(): AsyncGenerator<number> {
      yield 1;
      yield 2;
      throw fault;
    }
    const seen: number[] = [];
    const read = async () => {
      for await (const piece of readAhead(source())) seen.push(piece);
    };
    await assert.rejects(read, (thrown) => thrown === fault);
    assert.deepEqual(seen, [1, 2]);
  });

  test("ends the source when it is left, and lets nobody hear an error that was read in advance", async () => {
    let hasEnded = false;
    async function* source(): AsyncGenerator<number> {
      try {
        yield 1;
        throw new Error("nobody asked for it");
      } finally {
        hasEnded = true;
      }
    }
    for await (const piece of readAhead(source())) {
      assert.equal(piece, 1);
      break;
    }
    assert.equal(hasEnded, true);
  });

  test("gives nothing of nothing", async () => {
    assert.deepEqual(await Array.fromAsync(readAhead(Readable.from([]))), []);
  });
});

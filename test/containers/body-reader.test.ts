import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BodyReader, createNextTurn, type ReaderOptions } from "../../src/containers/body-reader.ts";
import { createInspect } from "../../src/containers/inspect.ts";
import { LimitReached } from "../../src/core/look-inside.ts";
import { inFile, inMemory, inspectBody, looking } from "./inspecting.ts";
import { madeZip } from "./made-zip.ts";

const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, index) => (index * 7919) >> 5));
const bodies = { "in memory": inMemory(bytes), "in a file": inFile(bytes) };

function options(given: Partial<ReaderOptions> = {}): ReaderOptions {
  return {
    look: looking(),
    maxFiles: 10,
    clock: () => 0,
    nextTurn: async () => {},
    isWorthALook: () => false,
    ...given,
  };
}

describe("BodyReader", () => {
  for (const [name, body] of Object.entries(bodies)) {
    test(`gives the bytes of any place, and none outside, ${name}`, async () => {
      const reader = new BodyReader(body, options());
      for (const [at, length] of [
        [0, 10],
        [16_380, 10],
        [16_384, 16_384],
        [100, 100_000],
        [699_990, 10],
      ] as const) {
        assert.deepEqual(await reader.some(at, length), bytes.subarray(at, at + length), `${length} at ${at}`);
      }
      assert.deepEqual(await reader.some(699_995, 10), bytes.subarray(699_995));
      assert.equal(await reader.exactly(699_995, 10), null);
      for (const at of [-1, 700_000, 10 ** 15, Number.NaN]) assert.equal((await reader.some(at, 10)).length, 0, `at ${at}`);
    });

    test(`gives the whole in pieces that overlap, and finds what is cut by none of them, ${name}`, async () => {
      const reader = new BodyReader(body, options());
      let end = 0;
      for await (const piece of reader.pieces(100)) {
        assert.equal(piece.at, Math.max(0, end - 100));
        assert.deepEqual(piece.bytes, bytes.subarray(piece.at, piece.at + piece.bytes.length));
        end = piece.at + piece.bytes.length;
      }
      assert.equal(end, bytes.length);
    });
  }

  test("frees each piece of a file that it has read, and nothing that others read", async () => {
    const size = 256 * 1024 + 16 * 1024;
    for (const [body, whole] of [
      [inFile(bytes.subarray(0, size)), 0],
      [inMemory(bytes.subarray(0, size)), 256 * 1024],
    ] as const) {
      const reader = new BodyReader(body, options());
      const page = await reader.some(256 * 1024, 16 * 1024);
      const read: Buffer[] = [];
      for await (const piece of reader.range(0)) read.push(piece);
      assert.deepEqual(
        read.map(({ length }) => length),
        [whole, 16 * 1024],
      );
      assert.deepEqual(page, bytes.subarray(256 * 1024, size));
      assert.deepEqual(await reader.some(256 * 1024, 16 * 1024), page);
    }
  });

  test("reaches its limit of time, whatever it does", async () => {
    let left = 0;
    const reader = new BodyReader(bodies["in memory"], options({ look: looking({ remainingMs: () => left }) }));
    await reader.some(0, 10);
    left = -1;
    for (const read of [reader.some(0, 10), reader.breathe(), reader.pieces(0).next()]) {
      await assert.rejects(read, (error) => error instanceof LimitReached && error.finding.reason === "limit-time");
    }
  });

  test("gives way after each slice, and ends with its signal", async () => {
    const abort = new AbortController();
    let [now, turns] = [0, 0];
    const nextTurn = async () => {
      turns += 1;
    };
    const reader = new BodyReader(
      bodies["in memory"],
      options({ clock: () => now, nextTurn, look: looking({ signal: abort.signal }) }),
    );
    for (now = 0; now < 9; now += 1) await reader.breathe();
    assert.equal(turns, 2);
    abort.abort(new Error("gone"));
    now += 10;
    await assert.rejects(reader.breathe(), { message: "gone" });
  });
});

describe("createNextTurn", () => {
  test("gives one of them all a turn of the event loop, in order", async () => {
    const nextTurn = createNextTurn();
    let loops = 0;
    const count = () => {
      loops += 1;
      pending = setImmediate(count);
    };
    let pending = setImmediate(count);
    const served: [number, number][] = [];
    const take = async (who: number) => {
      await nextTurn();
      served.push([who, loops]);
    };
    await Promise.all([take(1), take(2), take(3)]);
    await take(4);
    clearImmediate(pending);
    assert.deepEqual(
      served.map(([who]) => who),
      [1, 2, 3, 4],
    );
    assert.equal(new Set(served.map(([, loop]) => loop)).size, 4);
  });
});

describe("createInspect", () => {
  test("calls a body that outlives its time limited, not clean", async () => {
    let now = 0;
    const clock = () => {
      now += 1;
      return now;
    };
    const zip = madeZip(Array.from({ length: 100 }, () => ({})));
    assert.equal((await inspectBody(inMemory(zip), { clock, maxMs: 50 }))?.reason, "limit-time");
  });

  test("answers at once for what is no container, in memory", () => {
    const inspect = createInspect({ clock: () => 0, maxFiles: 10, formats: [] });
    for (const text of ["", "a", "no harm in this", "PK", "x^2", "Rar! BZh9 PACK ID3 %PDF", "key: value\n", "{}"]) {
      assert.equal(inspect(inMemory(Buffer.from(text)), looking()), null, text);
    }
  });
});

/** What every Spool must do, whatever it keeps its bodies in. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import type { Spool, SpooledBody } from "../../src/core/spool.ts";
import { collect, cut, ScriptedBody, sampleBytes } from "../spool/scripted-body.ts";

/** An open spool with room for a few MiB; disposing it closes the spool and checks and removes what is below it. */
export interface SpoolHarness extends AsyncDisposable {
  readonly spool: Spool;
}

const nothing = { bodies: 0, memoryBytes: 0, fileBytes: 0 };

export function describeSpool(name: string, make: () => Promise<SpoolHarness>): void {
  describe(`${name} as a Spool`, () => {
    let harness: SpoolHarness;
    let spool: Spool;
    const { signal } = new AbortController();

    beforeEach(async () => {
      harness = await make();
      spool = harness.spool;
    });

    afterEach(async () => {
      await harness[Symbol.asyncDispose]();
    });

    function take(bytes: Uint8Array, chunkLength = 1000): Promise<SpooledBody> {
      return spool.take(new ScriptedBody(cut(bytes, chunkLength)), { maxBytes: bytes.length, signal });
    }

    test("gives back any bytes in any chunks, with their size and digest, whole and in ranges", async () => {
      const body = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(body, fc.nat(), fc.nat(), fc.option(fc.nat(5000)), async (chunks, one, other, expectedBytes) => {
          const whole = Buffer.concat(chunks);
          const declared = expectedBytes === null ? {} : { expectedBytes };
          await using held = await spool.take(new ScriptedBody(chunks), { maxBytes: whole.length, signal, ...declared });
          assert.equal(held.size, whole.length);
          assert.equal(held.sha256, createHash("sha256").update(whole).digest("hex"));
          assert.equal((held.bytes === null) !== (held.path === null), true, "in memory or in a file, never both");
          if (held.bytes !== null) assert.deepEqual(Buffer.from(held.bytes), whole);
          assert.deepEqual(await collect(held.read()), whole);

          const [start = 0, end = 0] = [one % (whole.length + 1), other % (whole.length + 1)].sort((a, b) => a - b);
          assert.deepEqual(await collect(held.read({ start, end })), whole.subarray(start, end));
          assert.deepEqual(await collect(held.read({ start })), whole.subarray(start));
          assert.deepEqual(await collect(held.read({ end })), whole.subarray(0, end));
        }),
        { numRuns: 60 },
      );
      assert.deepEqual(spool.usage(), nothing);
    });

    test("takes an empty body, and one of empty chunks", async () => {
      for (const chunks of [[], [new Uint8Array(0), new Uint8Array(0)]]) {
        await using held = await spool.take(new ScriptedBody(chunks), { maxBytes: 0, signal });
        assert.equal(held.size, 0);
        assert.equal(held.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert.deepEqual(await collect(held.read()), Buffer.alloc(0));
      }
    });

    test("allows a body one byte below its limit and at its limit, and refuses one byte above", async () => {
      for (const size of [4999, 5000]) {
        await using held = await spool.take(new ScriptedBody(cut(sampleBytes(size), 700)), { maxBytes: 5000, signal });
        assert.equal(held.size, size);
      }
      const body = new ScriptedBody(cut(sampleBytes(5001), 700));
      await assert.rejects(spool.take(body, { maxBytes: 5000, signal }), { name: "ClamgateError", code: "too-large" });
      assert.deepEqual(spool.usage(), nothing);
    });

    test("refuses everything but an empty body where the limit is no number", async () => {
      const body = new ScriptedBody([sampleBytes(1)]);
      await assert.rejects(spool.take(body, { maxBytes: Number.NaN, signal }), { code: "too-large" });
    });

    test("stops reading at the first byte too many and leaves the rest, and the body, to its owner", async () => {
      const body = new ScriptedBody(cut(sampleBytes(3000), 1000));
      await assert.rejects(spool.take(body, { maxBytes: 1500, signal }), { code: "too-large" });
      assert.equal(body.unread, 1);
      assert.equal(body.returns, 0);
      assert.equal((await collect(body)).length, 1000);
    });

    test("rejects with the body's own error and keeps nothing", async () => {
      const error = new TypeError("the sender left");
      const body = new ScriptedBody(cut(sampleBytes(2500), 1000), { kind: "error", error });
      await assert.rejects(spool.take(body, { maxBytes: 9999, signal }), (thrown) => thrown === error);
      assert.deepEqual(spool.usage(), nothing);
      assert.equal(body.returns, 0);
    });

    test("rejects with the signal's reason while it waits for the next chunk", async () => {
      for (const chunks of [[], cut(sampleBytes(2500), 1000)]) {
        const abort = new AbortController();
        const body = new ScriptedBody(chunks, { kind: "wait" });
        const taking = spool.take(body, { maxBytes: 9999, signal: abort.signal });
        await body.waitedFor;
        const reason = new Error("enough");
        abort.abort(reason);
        await assert.rejects(taking, (thrown) => thrown === reason);
        assert.deepEqual(spool.usage(), nothing);
        assert.equal(body.returns, 0);
        body.release({ error: new Error("nobody waits for this any more") });
      }
    });

    test("rejects with the reason of a signal that was aborted before, without reading", async () => {
      const body = new ScriptedBody([sampleBytes(1)]);
      await assert.rejects(spool.take(body, { maxBytes: 9, signal: AbortSignal.abort("early") }), (thrown) => thrown === "early");
      assert.equal(body.unread, 1);
      assert.deepEqual(spool.usage(), nothing);
    });

    test("rejects with the signal's reason when the abort comes with the last chunk", async () => {
      const abort = new AbortController();
      async function* body(): AsyncGenerator<Uint8Array> {
        yield sampleBytes(2000);
        abort.abort("late");
      }
      await assert.rejects(spool.take(body(), { maxBytes: 9999, signal: abort.signal }), (thrown) => thrown === "late");
      assert.deepEqual(spool.usage(), nothing);
    });

    test("refuses a body that yields text instead of bytes", async () => {
      async function* body(): AsyncGenerator<Uint8Array> {
        // A request whose encoding was set does this in spite of its type.
        yield "text" as unknown as Uint8Array;
      }
      await assert.rejects(spool.take(body(), { maxBytes: 9999, signal }), { code: "internal" });
      assert.deepEqual(spool.usage(), nothing);
    });

    test("keeps its own copy of a chunk whose memory the producer uses again", async () => {
      const whole = sampleBytes(200_000);
      async function* body(): AsyncGenerator<Uint8Array> {
        const memory = new Uint8Array(30_000);
        for (const chunk of cut(whole, memory.length)) {
          memory.set(chunk);
          yield memory.subarray(0, chunk.length);
          memory.fill(0xee);
        }
      }
      await using held = await spool.take(body(), { maxBytes: whole.length, signal });
      assert.equal(held.sha256, createHash("sha256").update(whole).digest("hex"));
      assert.deepEqual(await collect(held.read()), Buffer.from(whole));
    });

    test("leaves no listener on the signal", async () => {
      const abort = new AbortController();
      await using _held = await spool.take(new ScriptedBody([sampleBytes(10)]), { maxBytes: 10, signal: abort.signal });
      await assert.rejects(spool.take(new ScriptedBody([sampleBytes(10)]), { maxBytes: 9, signal: abort.signal }));
      assert.equal(getEventListeners(abort.signal, "abort").length, 0);
    });

    test("counts each body once, however many hold it, and to the byte", async () => {
      const first = await take(sampleBytes(3000));
      const second = first.hold();
      const other = await take(sampleBytes(77));
      const { bodies, memoryBytes, fileBytes } = spool.usage();
      assert.deepEqual([bodies, memoryBytes + fileBytes], [2, 3077]);
      await first[Symbol.asyncDispose]();
      assert.equal(spool.usage().bodies, 2);
      await second[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
      assert.deepEqual(spool.usage(), nothing);
    });

    test("counts a body that is still arriving", async () => {
      const abort = new AbortController();
      const body = new ScriptedBody([sampleBytes(3000)], { kind: "wait" });
      const taking = spool.take(body, { maxBytes: 9999, signal: abort.signal });
      await body.waitedFor;
      const { bodies, memoryBytes, fileBytes } = spool.usage();
      assert.equal(bodies, 1);
      assert.equal(memoryBytes + fileBytes >= 3000, true);
      abort.abort();
      await assert.rejects(taking, { name: "AbortError" });
    });

    test("is harmless to dispose twice, and that frees no other's hold", async () => {
      const first = await take(sampleBytes(3000));
      await using second = first.hold();
      await Promise.all([first[Symbol.asyncDispose](), first[Symbol.asyncDispose]()]);
      await first[Symbol.asyncDispose]();
      assert.deepEqual(await collect(second.read()), Buffer.from(sampleBytes(3000)));
    });

    test("throws when a disposed handle is used, though another still holds the body", async () => {
      const first = await take(sampleBytes(3000));
      await using second = first.hold();
      const started = first.read();
      await first[Symbol.asyncDispose]();
      for (const use of [() => first.bytes, () => first.path, () => first.read(), () => first.hold()]) {
        assert.throws(use, { code: "internal" });
      }
      await assert.rejects(collect(started), { code: "internal" });
      assert.deepEqual([first.size, first.sha256], [second.size, second.sha256]);
    });

    test("serves several readers at once, also when another handle is disposed meanwhile", async () => {
      const whole = sampleBytes(300_000);
      const first = await take(whole, 65_536);
      await using second = first.hold();
      const reader = second.read()[Symbol.asyncIterator]();
      const pieces = [(await reader.next()).value ?? new Uint8Array(0)];
      await first[Symbol.asyncDispose]();
      const ranges = [0, 1, 65_536, 299_999].map(async (start) => {
        assert.deepEqual(await collect(second.read({ start })), Buffer.from(whole.subarray(start)));
      });
      for (let next = await reader.next(); !next.done; next = await reader.next()) pieces.push(next.value);
      assert.deepEqual(Buffer.concat(pieces), Buffer.from(whole));
      await Promise.all(ranges);
    });

    test("reads in pieces of at most 64 KiB", async () => {
      await using held = await take(sampleBytes(200_000), 200_000);
      const lengths: number[] = [];
      for await (const piece of held.read({ start: 1 })) lengths.push(piece.length);
      assert.deepEqual(lengths, [65_536, 65_536, 65_536, 3391]);
    });

    test("reads in pieces as large as the reader likes", async () => {
      await using held = await take(sampleBytes(200_000), 200_000);
      for (const [pieceBytes, expected] of [
        [150_000, [150_000, 50_000]],
        [200_000, [200_000]],
        [1_000_000, [200_000]],
      ] as const) {
        const lengths: number[] = [];
        for await (const piece of held.read({ pieceBytes })) lengths.push(piece.length);
        assert.deepEqual(lengths, expected);
      }
    });

    test("throws for a range that is not within the body", async () => {
      await using held = await take(sampleBytes(100));
      const ranges = [{ start: -1 }, { end: 101 }, { start: 2, end: 1 }, { start: 0.5 }, { start: Number.NaN }, { start: 101 }];
      for (const range of ranges) assert.throws(() => held.read(range), RangeError);
      assert.equal((await collect(held.read({ start: 100, end: 100 }))).length, 0);
    });

    test("takes many bodies at once without mixing them", async () => {
      const sizes = Array.from({ length: 24 }, (_, index) => 1000 + index * 1013);
      const bodies = await Promise.all(sizes.map((size) => take(sampleBytes(size), 777)));
      for (const [index, held] of bodies.entries()) {
        assert.deepEqual(await collect(held.read()), Buffer.from(sampleBytes(sizes[index] ?? 0)));
        await held[Symbol.asyncDispose]();
      }
      assert.deepEqual(spool.usage(), nothing);
    });

    test("removes everything at close: what is held, what arrives, and what would come", async () => {
      const held = await take(sampleBytes(3000));
      const started = held.read();
      const body = new ScriptedBody([sampleBytes(3000)], { kind: "wait" });
      const arriving = spool.take(body, { maxBytes: 9999, signal });
      const refused = assert.rejects(arriving, { code: "stopping" });
      await body.waitedFor;
      await Promise.all([spool.close(), spool.close()]);
      await refused;
      assert.deepEqual(spool.usage(), nothing);
      await assert.rejects(collect(started), { code: "internal" });
      assert.throws(() => held.read(), { code: "internal" });
      await held[Symbol.asyncDispose]();
      await assert.rejects(take(sampleBytes(1)), { code: "stopping" });
      await spool.close();
      assert.equal(body.returns, 0);
    });
  });
}

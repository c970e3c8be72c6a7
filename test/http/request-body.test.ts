import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { describe, test } from "node:test";
import { ClamgateError } from "../../src/core/errors.ts";
import type { RawRequest } from "../../src/http/raw.ts";
import { RequestBody, type RequestBodyOptions } from "../../src/http/request-body.ts";
import { answer, RawClient, say, serve } from "./exchange.ts";
import { frame, Http2Bytes } from "./http2-bytes.ts";

const patient: RequestBodyOptions = { idleTimeoutMs: 60_000, minBytesPerSecond: 0 };
const listened = ["readable", "end", "close", "aborted", "error", "data"] as const;

/** A server that reads each body and tells the test how it went: its length, or the code of its error. */
async function bodyServer(version: 1 | 2, options: RequestBodyOptions = patient) {
  const outcomes: (number | string)[] = [];
  let wake: (() => void) | null = null;
  const started = Promise.withResolvers<RawRequest>();
  const server = await serve(version, async (request, response) => {
    started.resolve(request);
    const before = listened.map((event) => request.listenerCount(event));
    outcomes.push(await outcomeOf(request, options));
    assert.deepEqual(
      listened.map((event) => request.listenerCount(event)),
      before,
    );
    answer(response, 200, "done");
    wake?.();
  });
  return Object.assign(server, {
    started: started.promise,
    async outcome(): Promise<number | string> {
      while (outcomes.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return outcomes.shift() ?? assert.fail();
    },
  });
}

async function outcomeOf(request: RawRequest, options: RequestBodyOptions): Promise<number | string> {
  const body = new RequestBody(request, options);
  let length = 0;
  try {
    for await (const chunk of body) length += chunk.length;
    assert.equal(body.take(), null);
    return length;
  } catch (thrown) {
    assert.throws(
      () => body.take(),
      (again) => again === thrown,
      "the error stays",
    );
    if (thrown instanceof ClamgateError) return thrown.code;
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

describe("RequestBody over HTTP/1", () => {
  test("reads a body of known length, one in chunks and an empty one on one connection", async () => {
    await using server = await bodyServer(1);
    using client = new RawClient(server.port);
    await client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${"x".repeat(100_000)}`);
    await client.readUntil(/done$/);
    assert.equal(await server.outcome(), 100_000);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n2\r\nfg\r\n0\r\n\r\n");
    await client.readUntil(/done$/);
    assert.equal(await server.outcome(), 7);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    await client.readUntil(/done$/);
    assert.equal(await server.outcome(), 0);
  });

  test("takes the memory of a chunk back when the next one is asked for", async () => {
    const sizes: (readonly number[])[] = [];
    await using server = await serve(1, async (request, response) => {
      const body = new RequestBody(request, patient)[Symbol.asyncIterator]();
      for (let chunk = await body.next(); !chunk.done; ) {
        const before = chunk.value.length;
        const next = await body.next();
        sizes.push([before, chunk.value.length]);
        chunk = next;
      }
      answer(response, 200, "done");
    });
    using client = new RawClient(server.port);
    await client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(1_000_000)}`);
    await client.readUntil(/done$/);
    assert.equal(
      sizes.reduce((sum, [before = 0]) => sum + before, 0),
      1_000_000,
    );
    const large = sizes.filter(([before = 0]) => before >= 65_536 - 200);
    assert.ok(large.length > 0);
    for (const [, after] of large) assert.equal(after, 0);
  });

  const early: readonly (readonly [string, string])[] = [
    ["before any byte of a declared body", "Content-Length: 10\r\n\r\n"],
    ["in a declared body", "Content-Length: 10\r\n\r\nabcde"],
    ["one byte before the end of a declared body", "Content-Length: 10\r\n\r\nabcdefghi"],
    ["in a chunk", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"],
    ["between chunks", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"],
    ["in the last chunk's line", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n"],
  ];
  for (const [name, bytes] of early) {
    for (const how of ["end", "resetAndDestroy"] as const) {
      test(`is client-gone when the client leaves ${name} by ${how}`, async () => {
        await using server = await bodyServer(1);
        using client = new RawClient(server.port);
        await client.send(`POST / HTTP/1.1\r\nHost: x\r\n${bytes}`);
        await server.started;
        if (how === "end") client.socket.end();
        else client.socket.resetAndDestroy();
        assert.equal(await server.outcome(), "client-gone");
      });
    }
  }

  test("is client-gone when the chunks are malformed", async () => {
    await using server = await bodyServer(1);
    using client = new RawClient(server.port);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n");
    assert.equal(await server.outcome(), "client-gone");
  });

  test("is client-slow after the idle time without a byte", async () => {
    await using server = await bodyServer(1, { idleTimeoutMs: 40, minBytesPerSecond: 0 });
    using client = new RawClient(server.port);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabcde");
    assert.equal(await server.outcome(), "client-slow");
    assert.match(await client.readUntil(/done$/), /^HTTP\/1.1 200 /, "the socket still carries an answer");
  });

  test("is client-slow for one who trickles below the minimum", async () => {
    const time = { now: 0 };
    await using server = await serve(1, async (request, response) => {
      const options = { idleTimeoutMs: 10_000, minBytesPerSecond: 100, clock: () => time.now };
      const body = new RequestBody(request, options)[Symbol.asyncIterator]();
      try {
        for (;;) {
          const next = body.next();
          // The client sends a byte for each question, so that each wait lasts a second of this clock.
          time.now += 1_000;
          say(response, "?");
          await next;
        }
      } catch (thrown) {
        answer(response, 200, thrown instanceof ClamgateError ? thrown.code : String(thrown));
      }
    });
    using client = new RawClient(server.port);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    while (!/client/.test(await client.readUntil(/\?|client-slow/))) await client.send("x");
    assert.equal(time.now, 10_000);
  });

  test("ends a wait with the signal's reason", async () => {
    const controller = new AbortController();
    await using server = await bodyServer(1, { ...patient, signal: controller.signal });
    using client = new RawClient(server.port);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabcde");
    await server.started;
    controller.abort(new Error("stopping now"));
    assert.equal(await server.outcome(), "stopping now");
  });

  test("leaves the socket to the answer when it is left early", async () => {
    await using server = await serve(1, async (request, response) => {
      for await (const _ of new RequestBody(request, patient)) break;
      answer(response, 400, "enough");
    });
    using client = new RawClient(server.port);
    await client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(1_000)}`);
    assert.match(await client.readUntil(/enough$/), /^HTTP\/1.1 400 /);
  });

  test("ends a wait when it is left, and listens to nothing any more", async () => {
    await using server = await serve(1, async (request, response) => {
      const before = listened.map((event) => request.listenerCount(event));
      const body = new RequestBody(request, patient);
      const chunks = body[Symbol.asyncIterator]();
      await chunks.next();
      const waiting = chunks.next();
      body.leave();
      await assert.rejects(waiting, { code: "client-gone" });
      assert.deepEqual(
        listened.map((event) => request.listenerCount(event)),
        before,
      );
      answer(response, 400, "enough");
    });
    using client = new RawClient(server.port);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabcde");
    assert.match(await client.readUntil(/enough$/), /^HTTP\/1.1 400 /);
  });

  test("holds the client back while nobody reads", async () => {
    const release = Promise.withResolvers<void>();
    await using server = await serve(1, async (request, response) => {
      const body = new RequestBody(request, patient)[Symbol.asyncIterator]();
      await body.next();
      await release.promise;
      assert.ok(request.readableLength <= 2 * request.readableHighWaterMark);
      let length = 0;
      for await (const chunk of body) length += chunk.length;
      answer(response, 200, `rest ${length > 0}`);
    });
    using client = new RawClient(server.port);
    const size = 64 * 1024 * 1024;
    await client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`);
    const sent = client.send(Buffer.alloc(size));
    let isSent = false;
    void sent.then(() => {
      isSent = true;
    });
    // Sixteen round trips through the event loop are time enough for a reader that does not hold back to take much of it.
    for (let turn = 0; turn < 16; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isSent, false);
    release.resolve();
    await sent;
    await client.readUntil(/rest true/);
  });
});

describe("RequestBody over HTTP/2", () => {
  test("reads a whole body", async () => {
    await using server = await bodyServer(2);
    const session = connectHttp2(server.url);
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.end(Buffer.alloc(300_000));
    stream.resume();
    await once(stream, "end");
    session.close();
    assert.equal(await server.outcome(), 300_000);
  });

  const noError = 0;
  const cancel = 8;
  for (const [name, code] of [
    ["without error", noError],
    ["with CANCEL", cancel],
  ] as const) {
    test(`is client-gone when the stream is reset ${name}, whatever has come`, async () => {
      for (const bytes of [0, 1, 16_000]) {
        await using server = await bodyServer(2);
        using client = new Http2Bytes(server.port);
        await client.post();
        if (bytes > 0) await client.send(frame.data(Buffer.alloc(bytes)));
        await server.started;
        await client.send(frame.reset(code));
        assert.equal(await server.outcome(), "client-gone");
      }
    });

    test(`is client-gone when data and a reset ${name} come in one write`, async () => {
      await using server = await bodyServer(2);
      using client = new Http2Bytes(server.port);
      await client.post();
      await client.send(Buffer.concat([frame.data(Buffer.alloc(5_000)), frame.reset(code)]));
      assert.equal(await server.outcome(), "client-gone");
    });
  }

  test("is client-gone when the connection ends", async () => {
    await using server = await bodyServer(2);
    using client = new Http2Bytes(server.port);
    await client.post();
    await client.send(frame.data(Buffer.alloc(10)));
    await server.started;
    client.socket.destroy();
    assert.equal(await server.outcome(), "client-gone");
  });

  for (const declared of [9, 11]) {
    test(`is client-gone when ${declared} bytes were declared and 10 come`, async () => {
      await using server = await bodyServer(2);
      using client = new Http2Bytes(server.port);
      await client.post(declared);
      await server.started;
      await client.send(frame.data(Buffer.alloc(10), true));
      assert.equal(await server.outcome(), "client-gone");
    });
  }

  test("is client-slow after the idle time without a byte", async () => {
    await using server = await bodyServer(2, { idleTimeoutMs: 40, minBytesPerSecond: 0 });
    using client = new Http2Bytes(server.port);
    await client.post();
    await client.send(frame.data(Buffer.alloc(10)));
    assert.equal(await server.outcome(), "client-slow");
  });
});

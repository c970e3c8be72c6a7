import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClamgateError } from "../../src/core/errors.ts";
import { clientGone } from "../../src/http/client-gone.ts";
import type { RawRequest, RawResponse } from "../../src/http/raw.ts";
import { answer, RawClient, say, serve } from "./exchange.ts";
import { frame, Http2Bytes } from "./http2-bytes.ts";

interface Exchange {
  readonly request: RawRequest;
  readonly response: RawResponse;
  readonly signal: AbortSignal;
}

async function goneServer(version: 1 | 2) {
  const exchanges: Exchange[] = [];
  let wake: (() => void) | undefined;
  const server = await serve(version, async (request, response) => {
    exchanges.push({ request, response, signal: clientGone(request, response) });
    wake?.();
  });
  return Object.assign(server, {
    async exchange(): Promise<Exchange> {
      while (exchanges.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return exchanges.shift() ?? assert.fail();
    },
  });
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  assert.ok(signal.reason instanceof ClamgateError);
  assert.equal(signal.reason.code, "client-gone");
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

describe("clientGone", () => {
  for (const [name, request] of [
    ["a whole request", get],
    ["half a request", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabcde"],
  ] as const) {
    test(`aborts when the client leaves after ${name}`, async () => {
      await using server = await goneServer(1);
      using client = new RawClient(server.port);
      await client.send(request);
      const { signal } = await server.exchange();
      assert.equal(signal.aborted, false);
      client.socket.destroy();
      await aborted(signal);
    });

    test(`aborts at once when the client has left after ${name} before it is asked`, async () => {
      const exchange = Promise.withResolvers<{ request: RawRequest; response: RawResponse }>();
      await using server = await serve(1, async (request, response) => exchange.resolve({ request, response }));
      using client = new RawClient(server.port);
      await client.send(request);
      const { request: left, response } = await exchange.promise;
      client.socket.resetAndDestroy();
      await new Promise((resolve) => response.on("close", resolve));
      assert.equal(clientGone(left, response).aborted, true);
    });
  }

  test("aborts when the client leaves in the middle of the answer", async () => {
    await using server = await goneServer(1);
    using client = new RawClient(server.port);
    await client.send(get);
    const { response, signal } = await server.exchange();
    say(response, "half");
    await client.readUntil(/half/);
    client.socket.destroy();
    await aborted(signal);
  });

  test("aborts when an HTTP/2 client resets its stream or leaves", async () => {
    const leave = [
      (client: Http2Bytes) => client.send(Buffer.concat([frame.data(Buffer.alloc(1), true), frame.reset(8)])),
      (client: Http2Bytes) => client.send(frame.reset(8)),
      (client: Http2Bytes) => client.send(frame.reset(0)),
      async (client: Http2Bytes) => void client.socket.destroy(),
    ];
    for (const how of leave) {
      await using server = await goneServer(2);
      using client = new Http2Bytes(server.port);
      await client.post();
      const { signal } = await server.exchange();
      assert.equal(signal.aborted, false);
      await how(client);
      await aborted(signal);
    }
  });

  test("does not abort once the answer has been sent, and leaves no listener on the connection", async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on("warning", warn);
    try {
      await using server = await goneServer(1);
      using client = new RawClient(server.port);
      const signals: AbortSignal[] = [];
      const counts: number[] = [];
      for (let turn = 0; turn < 30; turn += 1) {
        await client.send(get);
        const { request, response, signal } = await server.exchange();
        const closed = new Promise((resolve) => response.on("close", resolve));
        answer(response, 200, "answer");
        await client.readUntil(/answer/);
        await closed;
        signals.push(signal);
        counts.push(request.socket.eventNames().reduce((sum, event) => sum + request.socket.listenerCount(event), 0));
        assert.equal(response.listenerCount("close"), 1, "the test's own");
        assert.equal(request.listenerCount("aborted"), 0);
      }
      client.socket.destroy();
      assert.equal(counts.at(-1), counts[1]);
      assert.ok(signals.every((signal) => !signal.aborted));
      assert.deepEqual(warnings, []);
    } finally {
      process.off("warning", warn);
    }
  });
});

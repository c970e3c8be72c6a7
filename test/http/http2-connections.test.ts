import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Server } from "node:net";
import { describe, test } from "node:test";
import { plainServer } from "../../src/http/listener.ts";
import { listening } from "../listening.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
const limits = { headersTimeoutMs: 5_000, maxHeaderBytes: 65_536, maxConnections: 0 };

async function listen(
  handler: (request: IncomingMessage, response: ServerResponse) => void = () => {},
  keepAliveTimeoutMs = 60_000,
) {
  const server = plainServer(handler, { ...limits, keepAliveTimeoutMs });
  const port = await listening(server);
  return { server, port, [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}

function count(server: Server): Promise<number> {
  return new Promise((resolve, reject) => server.getConnections((error, open) => (error ? reject(error) : resolve(open))));
}

/** A hang here is a connection that is never ended. */
async function allGone(server: Server): Promise<void> {
  while ((await count(server)) > 0) await new Promise(setImmediate);
}

describe("an HTTP/2 connection", () => {
  for (const [what, bytes] of Object.entries({
    "after its preface": preface.subarray(0, 24),
    "after its settings": preface,
    "after a frame that is none": Buffer.concat([preface, Buffer.alloc(20, 0xff)]),
  })) {
    test(`whose client ends it ${what} is ended, too`, { timeout: 10_000 }, async () => {
      await using listening = await listen();
      const sockets = Array.from({ length: 5 }, () => connect(listening.port, "127.0.0.1"));
      const answered = sockets.map((socket) => once(socket, "data"));
      for (const socket of sockets) {
        socket.on("error", () => {}); // refused: as good
        socket.resume().write(bytes);
      }
      await Promise.all(answered);
      for (const socket of sockets) socket.destroy();
      await allGone(listening.server);
    });
  }

  test("on which nothing happens is ended after the keep-alive time", { timeout: 10_000 }, async () => {
    await using listening = await listen(() => {}, 150);
    const socket = connect(listening.port, "127.0.0.1").resume();
    socket.on("error", () => {}); // cut
    socket.write(preface);
    await once(socket, "close");
    await allGone(listening.server);
  });

  test("is then gone, also where its client does not hang up", { timeout: 10_000 }, async () => {
    await using listening = await listen(() => {}, 150);
    const socket = connect({ port: listening.port, host: "127.0.0.1", allowHalfOpen: true }).resume();
    socket.on("error", () => {}); // cut
    socket.write(preface);
    await once(socket, "end");
    await allGone(listening.server);
    socket.destroy();
  });

  test("that waits for an answer longer than that is not", { timeout: 10_000 }, async () => {
    await using listening = await listen((_request, response) => setTimeout(() => response.end("late"), 600), 150);
    const session = connectHttp2(`http://127.0.0.1:${listening.port}`);
    const stream = session.request({ ":path": "/" });
    stream.setEncoding("utf8");
    let text = "";
    for await (const chunk of stream) text += chunk;
    assert.equal(text, "late");
    await once(session, "close");
    await allGone(listening.server);
  });
});

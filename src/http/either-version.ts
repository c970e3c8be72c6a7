/**
 * One plain port for HTTP/1.1 and HTTP/2 by prior knowledge: the first bytes of a connection tell which (RFC 9113 §3.3).
 * Ours because the library for it leaves Node's own timeouts off: a head that never ends was never cut.
 */

import { createServer as createHttp1, type RequestListener, type ServerOptions } from "node:http";
import { createServer as createHttp2, type ServerOptions as Http2Options } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { takeExpectations } from "./expectations.ts";
import { endIdleConnections } from "./idle-connections.ts";
import { endWhenIdle } from "./idle-sessions.ts";

export interface EitherVersionOptions {
  readonly http1: ServerOptions;
  readonly http2: Http2Options;
  /** A connection that has not shown its version by then is ended. */
  readonly firstBytesMs: number;
  /** An HTTP/2 connection on which nothing happens for so long is ended. */
  readonly idleSessionMs: number;
}

/** Emits `request`, `session` and `clientError` of both versions. */
export function eitherVersionServer(handler: RequestListener, options: EitherVersionOptions): Server {
  const { http1, http2, firstBytesMs, idleSessionMs } = options;
  const first = createHttp1(http1, handler);
  const second = createHttp2(http2, (request, response) => {
    // The compatibility layer's requests fit an HTTP/1.1 handler; its types do not say so.
    handler(request as unknown as Parameters<RequestListener>[0], response as unknown as Parameters<RequestListener>[1]);
  });
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    whenRecognised(socket, firstBytesMs, (isHttp2) => {
      // node:http2 leaves it to the socket to end when its client has; node:http does that itself.
      if (isHttp2) socket.allowHalfOpen = false;
      (isHttp2 ? second : first).emit("connection", socket);
    });
  });
  for (const inner of [first, second]) {
    inner.on("request", (request, response) => server.emit("request", request, response));
    inner.on("error", () => {}); // it never listens itself
    takeExpectations(inner);
  }
  endIdleConnections(first);
  second.on("session", (session) => {
    endWhenIdle(session, idleSessionMs);
    server.emit("session", session);
  });
  first.on("clientError", (error, socket: Socket) => {
    if (!server.emit("clientError", error, socket)) socket.destroy();
  });
  // Starts and ends the watch over the time that heads may take.
  server.on("listening", () => first.emit("listening"));
  server.on("close", () => first.close(() => {}));
  return server;
}

const preface = Buffer.from("PRI ");

function whenRecognised(socket: Socket, timeoutMs: number, onRecognised: (isHttp2: boolean) => void): void {
  const giveUp = () => socket.destroy();
  let last: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // When the event loop was held up, timers come before the bytes that have been waiting for it.
    last = setImmediate(giveUp);
  }, timeoutMs);
  let bytes: Buffer = Buffer.alloc(0);
  const onReadable = () => {
    const more: Buffer | null = socket.read();
    if (more === null) return;
    bytes = Buffer.concat([bytes, more]);
    const length = Math.min(bytes.length, preface.length);
    const mayBeHttp2 = bytes.compare(preface, 0, length, 0, length) === 0;
    if (mayBeHttp2 && bytes.length < preface.length) return;
    leave();
    socket.unshift(bytes);
    onRecognised(mayBeHttp2);
  };
  const leave = () => {
    clearTimeout(timer);
    clearImmediate(last);
    socket.off("readable", onReadable).off("end", giveUp).off("error", giveUp).off("close", leave);
  };
  socket.on("readable", onReadable).on("end", giveUp).on("error", giveUp).on("close", leave);
}

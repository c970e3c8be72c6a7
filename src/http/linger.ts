/**
 * Answers a request whose body has not been read to its end, so that every client can read the answer: a connection closed on unread
 * bytes is reset and takes the answer along, so what the client still sends is read on.
 */

import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { constants, Http2ServerResponse } from "node:http2";
import { isWaitingToContinue } from "./expectations.ts";
import type { RawRequest, RawResponse } from "./raw.ts";

export interface EarlyAnswer {
  readonly status: number;
  /** Names in lower case; Content-Length is added. */
  readonly headers: Readonly<OutgoingHttpHeaders>;
  readonly body: string;
}

/**
 * Sends the answer at once, discards what the client still sends (see `linger`) and ends the response. Nothing of the response may
 * have been sent before; then it never rejects. Fit for a request that has been read to its end as well.
 */
export async function answerEarly(
  request: RawRequest,
  response: RawResponse,
  answer: EarlyAnswer,
  bounds: LingerBounds,
): Promise<LingerOutcome> {
  const body = Buffer.from(answer.body, "utf8");
  const headers: OutgoingHttpHeaders = { ...answer.headers, "content-length": body.length };
  if (response instanceof Http2ServerResponse) {
    response.writeHead(answer.status, headers);
    response.end(body);
  } else {
    // A body that will not be drained closes the connection: the client is told, and need not find out on its next request.
    const isWaiting = isWaitingToContinue(request);
    if (isWaiting || Number(request.headers["content-length"] ?? 0) > bounds.maxBytes) headers.connection = "close";
    response.writeHead(answer.status, headers);
    response.write(body);
    // It may never send its body, and would wait for the end that it was told of.
    if (isWaiting) request.socket.end();
  }
  return await linger(request, response, bounds);
}

export interface LingerBounds {
  /** In all. */
  readonly maxMs: number;
  /** Without a byte. */
  readonly idleMs: number;
  /** To be discarded. */
  readonly maxBytes: number;
}

export const usualLinger: LingerBounds = { maxMs: 30_000, idleMs: 5_000, maxBytes: 256 * 1024 * 1024 };

/**
 * drained: the whole request has come, the connection may go on; gone: the client went first; cut: a bound was reached, the
 * connection (HTTP/1) or the stream (HTTP/2) has been closed.
 */
export type LingerOutcome = "drained" | "gone" | "cut";

/**
 * Discards the rest of the request, then ends the response. Never rejects.
 * HTTP/1: the answer must have been written whole, with its Content-Length, but not ended: Node destroys the socket at the end of a
 * response that closes the connection, however much is unread. HTTP/2: the answer may have been ended.
 */
export async function linger(request: RawRequest, response: RawResponse, bounds: LingerBounds): Promise<LingerOutcome> {
  const outcome = await discard(request, bounds);
  if (outcome === "gone") return outcome;
  if (outcome === "drained") {
    if (!response.writableEnded) response.end();
    return outcome;
  }
  if (response instanceof Http2ServerResponse) cutStream(response);
  else cutConnection(request, response);
  return outcome;
}

async function discard(request: RawRequest, bounds: LingerBounds): Promise<LingerOutcome> {
  if (request.readableEnded) return "drained";
  if (request.aborted || request.destroyed) return "gone";
  const { promise, resolve } = Promise.withResolvers<LingerOutcome>();
  const cut = (): void => resolve("cut");
  const total = setTimeout(cut, bounds.maxMs);
  let bytes = 0;
  const idle = setTimeout(() => {
    // When the event loop was held up, timers come before the bytes that have been waiting for it.
    const before = bytes;
    setImmediate(() => {
      if (bytes === before) cut();
    });
  }, bounds.idleMs);
  const count = (chunk: Uint8Array): void => {
    idle.refresh();
    bytes += chunk.length;
    if (bytes > bounds.maxBytes) cut();
  };
  const end = (): void => resolve(request.aborted ? "gone" : "drained");
  const leave = (): void => resolve("gone");
  request.on("data", count).on("end", end).on("close", leave).on("aborted", leave).on("error", leave);
  request.resume();
  try {
    return await promise;
  } finally {
    clearTimeout(total);
    clearTimeout(idle);
    request.off("data", count).off("end", end).off("close", leave).off("aborted", leave).off("error", leave);
  }
}

/** RFC 9113 §8.1: a stream reset without error after a whole answer asks the client to stop sending and keep the answer. */
function cutStream(response: Http2ServerResponse): void {
  const stream = response.stream;
  if (response.writableEnded) {
    stream.close(constants.NGHTTP2_NO_ERROR);
    return;
  }
  response.end(() => stream.close(constants.NGHTTP2_NO_ERROR));
}

/** The answer is flushed and followed by FIN; only a client that goes on sending after that sees a reset. */
function cutConnection(request: RawRequest, response: ServerResponse): void {
  const socket = request.socket;
  response.end();
  socket.destroySoon();
}

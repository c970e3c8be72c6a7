/** One command to clamd and everything it answers until it closes: one connection per command, no session (clamd.md 1.6). */

import { connect, type Socket } from "node:net";
import { maxReplyBytes } from "../codec/clamd-reply.ts";
import type { ClamdAddress } from "./address.ts";

/** Opens a connection; must not be connected yet, or be about to. */
export type Dial = (address: ClamdAddress) => Socket;

export const dialClamd: Dial = (address) =>
  address.kind === "unix"
    ? connect({ path: address.path, allowHalfOpen: true })
    : connect({ host: address.host, port: address.port, allowHalfOpen: true, noDelay: true });

/** How an exchange ended without a whole stream of answer bytes. */
export class ExchangeError extends Error {
  override readonly name = "ExchangeError";
  /** False when clamd cannot have begun: nothing was lost, and any other backend will do. */
  readonly wasConnected: boolean;
  /** What had arrived by then: clamd may refuse a body and close while more of it is on the way, which ends in a reset. */
  readonly received: Uint8Array;

  constructor(message: string, context: { wasConnected: boolean; received: Uint8Array; cause: unknown }) {
    super(message, { cause: context.cause });
    this.wasConnected = context.wasConnected;
    this.received = context.received;
  }
}

export interface ExchangeOptions {
  readonly dial: Dial;
  readonly address: ClamdAddress;
  readonly connectTimeoutMs: number;
  /** Ends the exchange by force. */
  readonly signal?: AbortSignal;
}

/**
 * Writes `request` piece by piece and resolves with all bytes that clamd sent up to its end of stream (at most
 * `maxReplyBytes`). Pieces of one inner array go out in one system call. Stops writing once clamd has begun to answer.
 * Rejects with ExchangeError; with the signal's reason when that aborts.
 */
export async function exchange(
  request: AsyncIterable<readonly Uint8Array[]> | Iterable<readonly Uint8Array[]>,
  { dial, address, connectTimeoutMs, signal }: ExchangeOptions,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const socket = dial(address);
  const onAbort = () => socket.destroy();
  signal?.addEventListener("abort", onAbort, { once: true });
  let wasConnected = false;
  const received: Uint8Array[] = [];
  try {
    // The reader is in place before the first byte is written: clamd may answer, and close, before it has read everything.
    const reply = readToEnd(socket, received);
    reply.catch(() => {}); // it is awaited below, after the writing, where it is heard
    await connected(socket, connectTimeoutMs);
    wasConnected = true;
    await write(request, socket, reply);
    return await reply;
  } catch (error) {
    signal?.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    throw new ExchangeError(message, { wasConnected, received: Buffer.concat(received), cause: error });
  } finally {
    signal?.removeEventListener("abort", onAbort);
    socket.destroy();
  }
}

function connected(socket: Socket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once("close", () => {
      clearTimeout(timer);
      reject(socket.errored ?? new Error("closed before it was connected"));
    });
  });
}

/** Resolves at the end of the stream, and only there: an answer that ends in a reset is not a whole one. */
function readToEnd(socket: Socket, chunks: Uint8Array[]): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let size = 0;
    socket.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxReplyBytes) socket.destroy(new Error(`more than ${maxReplyBytes} bytes of reply`));
      else chunks.push(chunk);
    });
    socket.once("end", () => resolve(Buffer.concat(chunks)));
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed before the end of the reply")));
  });
}

async function write(
  request: AsyncIterable<readonly Uint8Array[]> | Iterable<readonly Uint8Array[]>,
  socket: Socket,
  reply: Promise<Uint8Array>,
): Promise<void> {
  let hasAnswer = false;
  const stop = () => {
    hasAnswer = true;
  };
  socket.once("data", stop);
  socket.once("end", stop);
  for await (const pieces of request) {
    if (hasAnswer) return;
    socket.cork();
    let isFlowing = true;
    for (const piece of pieces) isFlowing = socket.write(piece);
    socket.uncork();
    if (!isFlowing) await Promise.race([drained(socket), reply]);
    // Lets an answer that has already arrived be read: writing into a closed connection would destroy it unread.
    await new Promise(setImmediate);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("drain", resolve));
}

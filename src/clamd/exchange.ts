/** One command to clamd and everything it answers until it closes: one connection per command, no session (clamd.md 1.6). */

import type { Socket } from "node:net";
import { maxReplyBytes } from "../codec/clamd/reply.ts";
import type { ClamdAddress } from "./address.ts";
import { ClamdSocket } from "./clamd-socket.ts";
import type { Request } from "./commands.ts";

/** Opens a connection; must not be connected yet, or be about to. */
export type Dial = (address: ClamdAddress) => ClamdSocket;

export const dialClamd: Dial = (address) =>
  address.kind === "unix"
    ? new ClamdSocket({ allowHalfOpen: true }).connect({ path: address.path })
    : // clamd is silent while it scans: without keep-alive a peer that has vanished would never be noticed.
      new ClamdSocket({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }).connect(address);

/**
 * `unreached`: no connection, clamd cannot have begun. `cut`: the connection broke before the end of the answer. `late`: no
 * whole answer in time. `nonsense`: more than any answer can be, or an answer to a request that had not been sent yet.
 */
export type ExchangeFault = "unreached" | "cut" | "late" | "nonsense";

/** How an exchange ended without a whole answer to the whole request. */
export class ExchangeError extends Error {
  override readonly name = "ExchangeError";
  readonly fault: ExchangeFault;
  /** What had arrived by then: clamd may refuse a body and close while more of it is on the way, which ends in a reset. */
  readonly received: Uint8Array;

  constructor(fault: ExchangeFault, received: Uint8Array, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.fault = fault;
    this.received = received;
  }
}

/** What follows a refusal in mid-body is the close of the connection, and that comes at once. */
const refusalGraceMs = 250;

export interface ExchangeOptions {
  readonly dial: Dial;
  readonly address: ClamdAddress;
  readonly connectTimeoutMs: number;
  /** From the connection to the end of the answer. */
  readonly timeoutMs: number;
  /** Ends the exchange by force. */
  readonly signal?: AbortSignal;
}

/**
 * Writes `request` piece by piece and resolves with all bytes that clamd sent up to its end of stream (at most
 * `maxReplyBytes`). Pieces of one inner array go out in one system call. Stops writing once clamd has begun to answer.
 * Rejects with ExchangeError; with the signal's reason when that aborts; with whatever `request` itself throws.
 */
export async function exchange(
  request: Request,
  { dial, address, connectTimeoutMs, timeoutMs, signal }: ExchangeOptions,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const received: Uint8Array[] = [];
  let isLate = false;
  let graceTimer: NodeJS.Timeout | undefined;
  const failed = (fault: ExchangeFault, cause: unknown) => new ExchangeError(fault, Buffer.concat(received), cause);
  const socket = dial(address);
  const onAbort = () => socket.destroy();
  signal?.addEventListener("abort", onAbort, { once: true });
  let timer: NodeJS.Timeout | undefined;
  try {
    // The reader is in place before the first byte is written: clamd may answer, and close, before it has read everything.
    const reply = readToEnd(socket, received);
    reply.catch(() => {}); // it is awaited below, after the writing, where it is heard
    await connected(socket, connectTimeoutMs).catch((error) => Promise.reject(failed("unreached", error)));
    // A plain timer: an AbortSignal.timeout could not be taken back and would stay for as long as the longest scan.
    timer = afterReading(timeoutMs, () => {
      isLate = true;
      socket.destroy(new Error(`no whole answer within ${timeoutMs} ms`));
    });
    const isSent = await send(request, socket, reply);
    // Who answers before the end has no more to say; clamd closes right after such a refusal.
    if (!isSent) graceTimer = afterReading(refusalGraceMs, () => socket.destroy());
    const isWhole = await reply.catch((error) => {
      if (!isSent && received.length > 0) return true;
      throw failed(isLate ? "late" : "cut", socket.writeFault ?? error);
    });
    if (!isWhole) throw failed("nonsense", `more than ${maxReplyBytes} bytes of reply`);
    if (!isSent && received.length > 0) throw failed("nonsense", "answered before it had been sent everything");
    if (socket.writeFault !== null) throw failed("cut", socket.writeFault);
    return Buffer.concat(received);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    clearTimeout(graceTimer);
    signal?.removeEventListener("abort", onAbort);
    socket.destroy();
  }
}

function connected(socket: Socket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = afterReading(timeoutMs, () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)));
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

/** A process that has stood still finds its timers due before the bytes that came in time: those are read first. */
function afterReading(ms: number, action: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(action), ms);
}

/**
 * Resolves at the end of the stream, and only there: an answer that ends in a reset is not a whole one. Resolves with false
 * when it is longer than any answer can be.
 */
function readToEnd(socket: Socket, chunks: Uint8Array[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let size = 0;
    socket.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxReplyBytes) return chunks.push(chunk);
      resolve(false);
      socket.destroy();
    });
    socket.once("end", () => resolve(true));
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed before the end of the reply")));
  });
}

/**
 * Resolves with whether everything had left this process before the first byte of the answer came: an answer to a part of a
 * body says nothing about the body. Rejects only with what `request` throws; a broken connection is heard from `reply`.
 */
async function send(request: Request, socket: ClamdSocket, reply: Promise<unknown>): Promise<boolean> {
  const answered = Promise.withResolvers<false>();
  let isExhausted = false;
  let isAnswered = false;
  let isEarly = false;
  const onAnswer = () => {
    isAnswered = true;
    isEarly ||= !isExhausted || socket.writableLength > 0;
    answered.resolve(false);
  };
  socket.once("data", onAnswer);
  reply.then(onAnswer, onAnswer);
  let isFirst = true;
  for await (const pieces of request) {
    // An answer that is there is read first: behind the last write it would pass for one to the whole body.
    if (!isFirst) await new Promise(setImmediate);
    if (isAnswered) return false;
    isFirst = false;
    if (!(await Promise.race([written(socket, pieces), answered.promise]))) return false;
  }
  // An answer to the whole request finds it exhausted: after the last write no other event comes before this.
  isExhausted = true;
  await answered.promise;
  return !isEarly;
}

/** Resolves with whether the pieces have left this process; where they have not, they may still be in use. */
function written(socket: ClamdSocket, pieces: readonly Uint8Array[]): Promise<boolean> {
  return new Promise((resolve) => {
    socket.cork();
    for (const [index, piece] of pieces.entries()) {
      if (index < pieces.length - 1) socket.write(piece);
      else socket.write(piece, (error) => resolve(error == null && socket.writeFault === null));
    }
    socket.uncork();
  });
}

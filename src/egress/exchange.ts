/** One request to an origin and its answer: the head once it has come, then the body as it is pulled, within the times (download-proxy.md P24, P26). */

import type { Dispatcher } from "undici";
import type { Clock } from "../core/clock.ts";
import { ClamgateError } from "../core/errors.ts";
import { Pace } from "../core/pace.ts";
import type { HeaderLines } from "./header-lines.ts";
import { brokenAnswer, tookTooLong, tooLarge, UpstreamError } from "./refusal.ts";

export interface ExchangeRequest {
  readonly method: "GET" | "HEAD";
  /** Path and query as they are sent. */
  readonly path: string;
  readonly headers: HeaderLines;
}

export interface ExchangeOptions {
  /** From the sent request to the whole head; interim answers do not buy more time. */
  readonly headTimeoutMs: number;
  /** A wait for a byte of the body that lasts as long fails; also the window in which the rate is measured. */
  readonly idleTimeoutMs: number;
  /** Measured over the time spent waiting for the origin. 0: no minimum. */
  readonly minBytesPerSecond: number;
  /** By the clock: when all of it must have come. */
  readonly endsAt: number;
  /** Of the body. */
  readonly maxBytes: number;
  /** Ends the exchange with its reason. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

export interface ExchangeAnswer {
  readonly status: number;
  /** As received: order, case and repetition kept, bytes as Latin-1 characters. */
  readonly lines: HeaderLines;
  /**
   * Single use, one reader. Ends well only when the whole message has come; otherwise throws `upstream-failed`, `upstream-timeout`,
   * `too-large` or the signal's reason. Bytes are as received: no content coding is undone. Leaving it early ends the connection.
   */
  readonly body: AsyncIterableIterator<Uint8Array, undefined>;
  /** The body is not wanted. A little of it is read, so that the connection can go on; the body must not be read any more. */
  discard(): void;
  /** Ends the connection at once. */
  cut(): void;
}

/**
 * Rejects with `upstream-failed`, `upstream-timeout`, `stopping` or the signal's reason.
 * @param onEnd called once, when nothing more comes from the origin, whole or not, though some of it may still wait to be read.
 */
export function exchange(
  dispatcher: Dispatcher,
  request: ExchangeRequest,
  options: ExchangeOptions,
  onEnd: () => void,
): Promise<ExchangeAnswer> {
  const running = new Exchange(options, onEnd);
  const { method, path, headers } = request;
  if (!options.signal.aborted) dispatcher.dispatch({ method, path, headers: [...headers] }, running);
  return running.answer;
}

/** What waits in memory when the reader is slower than the origin. */
const highWaterBytes = 256 * 1024;
/** A chunk takes up memory besides its bytes, and the line of chunks must stay short: taking one away moves all the others. */
const leastChunkBytes = 512;
const discardBytes = 64 * 1024;
const discardMs = 1000;
/** A timer that is set for longer comes at once. */
const longestTimerMs = 2 ** 31 - 1;

type Chunk = IteratorResult<Uint8Array, undefined>;

class Exchange implements Dispatcher.DispatchHandler, ExchangeAnswer, AsyncIterableIterator<Uint8Array, undefined> {
  readonly answer: Promise<ExchangeAnswer>;
  status = 0;
  lines: HeaderLines = [];
  readonly #settle: PromiseWithResolvers<ExchangeAnswer>;
  readonly #options: ExchangeOptions;
  readonly #onEnd: () => void;
  readonly #pace: Pace;
  readonly #chunks: Buffer[] = [];
  #queuedBytes = 0;
  #readBytes = 0;
  #controller: Dispatcher.DispatchController | null = null;
  /** One for all times: it comes at the first of them, looks at the clock, and is set for the next one. */
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #headDueAt = Number.POSITIVE_INFINITY;
  #endsAt: number;
  #hasHead = false;
  #isWhole = false;
  #isOver = false;
  #failure: { readonly error: unknown } | null = null;
  /** While a body is discarded: how much more of it may come. */
  #discardableBytes: number | null = null;
  /** Who waits for the next chunk, and since when. */
  #reader: { readonly resolve: (chunk: Chunk) => void; readonly reject: (error: unknown) => void } | null = null;
  #waitsSince = 0;

  constructor(options: ExchangeOptions, onEnd: () => void) {
    this.#options = options;
    this.#onEnd = onEnd;
    this.#endsAt = options.endsAt;
    this.#pace = new Pace(options);
    this.#settle = Promise.withResolvers();
    this.answer = this.#settle.promise;
    options.signal.addEventListener("abort", this.#onAbort);
    if (options.signal.aborted) this.#onAbort();
    else this.#watchTime();
  }

  get body(): this {
    return this;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#failure !== null) {
      controller.abort(new Error("called off"));
      return;
    }
    this.#headDueAt = this.#options.clock() + this.#options.headTimeoutMs;
    this.#watchTime();
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#failure !== null) return;
    this.#hasHead = true;
    this.#headDueAt = Number.POSITIVE_INFINITY;
    this.status = status;
    this.lines = linesOf(controller);
    this.#settle.resolve(this);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#failure !== null) return;
    if (this.#discardableBytes !== null) {
      this.#discardableBytes -= chunk.length;
      if (this.#discardableBytes < 0) this.cut();
      return;
    }
    this.#chunks.push(chunk);
    this.#queuedBytes += Math.max(chunk.length, leastChunkBytes);
    if (this.#queuedBytes >= highWaterBytes) controller.pause();
    this.#serveReader();
  }

  onResponseEnd(): void {
    if (this.#failure !== null) return;
    this.#isWhole = true;
    this.#end();
    this.#serveReader();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#fail(translated(error, this.#hasHead));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Chunk> {
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      this.#waitsSince = this.#options.clock();
      this.#serveReader();
    });
  }

  async return(): Promise<Chunk> {
    this.cut();
    return { done: true, value: undefined };
  }

  discard(): void {
    if (this.#isWhole || this.#failure !== null) return;
    this.#discardableBytes = discardBytes - this.#queuedBytes;
    this.#chunks.length = 0;
    this.#endsAt = Math.min(this.#endsAt, this.#options.clock() + discardMs);
    this.#watchTime();
    this.#controller?.resume();
  }

  cut(): void {
    this.#fail(new Error("the body is not wanted"));
  }

  /** What there is for the reader; without anything it goes on waiting. */
  #serveReader(): void {
    const reader = this.#reader;
    if (reader === null) return;
    const chunk = this.#chunks.shift();
    if (this.#failure !== null) {
      this.#reader = null;
      reader.reject(this.#failure.error);
    } else if (chunk !== undefined) {
      this.#readBytes += chunk.length;
      this.#queuedBytes -= Math.max(chunk.length, leastChunkBytes);
      this.#pace.received(chunk.length);
      if (this.#readBytes > this.#options.maxBytes) this.#break(tooLarge());
      else if (this.#pace.isTooSlow()) this.#break(tookTooLong("The origin sent too slowly"));
      else {
        this.#reader = null;
        reader.resolve({ done: false, value: chunk });
        // Only now: it may bring the next chunk at once.
        if (this.#queuedBytes < highWaterBytes / 2) this.#controller?.resume();
      }
    } else if (this.#isWhole) {
      this.#reader = null;
      reader.resolve({ done: true, value: undefined });
    } else {
      this.#pace.wait();
      this.#watchTime();
    }
  }

  /** A timer that comes sooner than needed sets itself anew. */
  #watchTime(): void {
    if (this.#isOver) return;
    const now = this.#options.clock();
    const readerDueAt = this.#reader === null ? Number.POSITIVE_INFINITY : now + this.#pace.remainingMs();
    const dueAt = Math.min(this.#endsAt, this.#headDueAt, readerDueAt);
    if (dueAt >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = dueAt;
    this.#timer = setTimeout(this.#onTime, Math.min(Math.max(1, Math.ceil(dueAt - now)), longestTimerMs));
  }

  readonly #onTime = (): void => {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const overdue = this.#overdue();
    if (overdue === null) this.#watchTime();
    else this.#fail(tookTooLong(overdue));
  };

  #overdue(): string | null {
    const now = this.#options.clock();
    if (now >= this.#endsAt) return "The download took too long";
    if (now >= this.#headDueAt) return "The origin took too long to answer";
    if (this.#reader === null || !this.#pace.isTooSlow()) return null;
    const isSilent = now - this.#waitsSince >= this.#options.idleTimeoutMs;
    return isSilent ? "The origin stopped sending" : "The origin sent too slowly";
  }

  readonly #onAbort = (): void => this.#fail(this.#options.signal.reason);

  /** What has come whole is still there to be read. */
  #fail(error: unknown): void {
    if (this.#failure === null && !this.#isWhole) this.#break(error);
  }

  #break(error: unknown): void {
    this.#failure = { error };
    this.#chunks.length = 0;
    this.#settle.reject(error);
    if (!this.#isWhole) this.#controller?.abort(error instanceof Error ? error : new Error("called off"));
    this.#end();
    this.#serveReader();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    this.#onEnd();
  }
}

/** undici's own object joins repeated lines and decodes UTF-8; the raw ones are what came. */
function linesOf({ rawHeaders }: Dispatcher.DispatchController): HeaderLines {
  return Array.isArray(rawHeaders) ? rawHeaders.map((part) => (typeof part === "string" ? part : part.toString("latin1"))) : [];
}

/** A connection that was kept for the next request may be closed just when it comes. */
const transientCodes: ReadonlySet<string> = new Set([
  "UND_ERR_SOCKET",
  "UPSTREAM_RESET",
  "ECONNRESET",
  "EPIPE",
  "UND_ERR_CLOSED",
]);

function translated(error: Error & { code?: string }, hasHead: boolean): ClamgateError {
  if (error instanceof ClamgateError) return error;
  if (error.code === "UND_ERR_DESTROYED") return new ClamgateError("stopping", "The gateway is stopping");
  if (hasHead) return brokenAnswer("The origin's answer broke off", error);
  if (error.name === "HTTPParserError") return brokenAnswer("The origin's answer is not HTTP", error);
  const context = { detail: error.message, cause: error, isTransient: transientCodes.has(error.code ?? "") };
  return new UpstreamError("upstream-failed", "The origin closed the connection without an answer", context);
}

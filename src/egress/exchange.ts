/** One request to an origin and its answer: the head once it has come, then the body as it is pulled, within the times (download-proxy.md P24, P26). */

import type { Dispatcher } from "undici";
import type { Clock } from "../core/clock.ts";
import { ClamgateError } from "../core/errors.ts";
import { Pace } from "../core/pace.ts";
import type { HeaderLines } from "./header-lines.ts";
import { brokenAnswer, tookTooLong, UpstreamError } from "./refusal.ts";

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
  /** Ends the exchange with its reason. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

export interface ExchangeAnswer {
  readonly status: number;
  /** As received: order, case and repetition kept, bytes as Latin-1 characters. */
  readonly lines: HeaderLines;
  /**
   * Single use, one reader. Ends well only when the whole message has come; otherwise throws `upstream-failed`, `upstream-timeout` or the
   * signal's reason. Bytes are as received: no content coding is undone. Leaving it early ends the connection.
   */
  readonly body: AsyncIterableIterator<Uint8Array>;
  /** The body is not wanted. A little of it is read, so that the connection can go on; the body must not be read any more. */
  discard(): void;
  /** Ends the connection at once. */
  cut(): void;
  /** Resolves when nothing more comes from the origin, whole or not, though some of it may still wait to be read. Never rejects. */
  readonly ended: Promise<void>;
}

/**
 * Rejects with `upstream-failed`, `upstream-timeout`, `stopping` or the signal's reason.
 * @param onEnd told once, when `ended` resolves or would have.
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

class Exchange implements Dispatcher.DispatchHandler, AsyncIterableIterator<Uint8Array> {
  readonly answer: Promise<ExchangeAnswer>;
  readonly #settle: PromiseWithResolvers<ExchangeAnswer>;
  readonly #options: ExchangeOptions;
  readonly #onEnd: () => void;
  readonly #ended = Promise.withResolvers<void>();
  readonly #pace: Pace;
  readonly #chunks: Buffer[] = [];
  #queuedBytes = 0;
  #controller: Dispatcher.DispatchController | null = null;
  #timer: NodeJS.Timeout | undefined;
  #hasHead = false;
  #isWhole = false;
  #isOver = false;
  #failure: { readonly error: unknown } | null = null;
  /** While a body is discarded: how much more of it may come. */
  #discardableBytes: number | null = null;
  #wake: () => void = () => {};

  constructor(options: ExchangeOptions, onEnd: () => void) {
    this.#options = options;
    this.#onEnd = onEnd;
    this.#pace = new Pace(options);
    this.#settle = Promise.withResolvers();
    this.answer = this.#settle.promise;
    options.signal.addEventListener("abort", this.#onAbort);
    if (options.signal.aborted) this.#onAbort();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#failure !== null) {
      controller.abort(new Error("called off"));
      return;
    }
    this.#timer = setTimeout(() => this.#fail(tookTooLong("The origin took too long to answer")), this.#options.headTimeoutMs);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#failure !== null) return;
    clearTimeout(this.#timer);
    this.#hasHead = true;
    this.#settle.resolve({
      status,
      lines: linesOf(controller),
      body: this,
      discard: () => this.#discard(),
      cut: () => this.#cut(),
      ended: this.#ended.promise,
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#failure !== null) return;
    if (this.#discardableBytes !== null) {
      this.#discardableBytes -= chunk.length;
      if (this.#discardableBytes < 0) this.#cut();
      return;
    }
    this.#chunks.push(chunk);
    this.#queuedBytes += Math.max(chunk.length, leastChunkBytes);
    if (this.#queuedBytes >= highWaterBytes) controller.pause();
    this.#wake();
  }

  onResponseEnd(): void {
    if (this.#failure !== null) return;
    this.#isWhole = true;
    this.#end();
    this.#wake();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#fail(translated(error, this.#hasHead));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const since = this.#options.clock();
    for (;;) {
      if (this.#failure !== null) throw this.#failure.error;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#queuedBytes -= Math.max(chunk.length, leastChunkBytes);
        if (this.#queuedBytes < highWaterBytes / 2) this.#controller?.resume();
        this.#pace.received(chunk.length);
        if (this.#pace.isTooSlow()) this.#fail(tookTooLong("The origin sent too slowly"));
        else return { done: false, value: chunk };
      } else if (this.#isWhole) {
        return { done: true, value: undefined };
      } else {
        this.#pace.wait();
        await this.#change();
        if (this.#chunks.length > 0 || this.#isWhole || !this.#pace.isTooSlow()) continue;
        const isSilent = this.#options.clock() - since >= this.#options.idleTimeoutMs;
        this.#fail(tookTooLong(isSilent ? "The origin stopped sending" : "The origin sent too slowly"));
      }
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#cut();
    return { done: true, value: undefined };
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake(), this.#pace.remainingMs());
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
    });
  }

  #discard(): void {
    if (this.#isWhole || this.#failure !== null) return;
    this.#discardableBytes = discardBytes - this.#queuedBytes;
    this.#chunks.length = 0;
    this.#timer = setTimeout(() => this.#cut(), discardMs);
    this.#controller?.resume();
  }

  #cut(): void {
    this.#fail(new Error("the body is not wanted"));
  }

  readonly #onAbort = (): void => this.#fail(this.#options.signal.reason);

  #fail(error: unknown): void {
    if (this.#isWhole || this.#failure !== null) return;
    this.#failure = { error };
    this.#chunks.length = 0;
    this.#settle.reject(error);
    this.#controller?.abort(error instanceof Error ? error : new Error("called off"));
    this.#end();
    this.#wake();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    this.#ended.resolve();
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

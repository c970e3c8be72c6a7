/** The body of an HTTP/1 or HTTP/2 request as a pull-based iterable that never ends well unless the whole message has come. */

import { performance } from "node:perf_hooks";
import { ClamgateError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { Pace } from "./pace.ts";
import type { RawRequest } from "./raw.ts";

export interface RequestBodyOptions {
  /** A wait for a byte that lasts as long fails; also the window in which the rate is measured. */
  readonly idleTimeoutMs: number;
  /** Measured over the time that was spent waiting for the client. 0: no minimum. */
  readonly minBytesPerSecond: number;
  /** Ends a wait with its reason. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

export interface IncomingBody extends AsyncIterableIterator<Uint8Array> {
  /**
   * Ends the reading. A read that still waits throws `client-gone` at once: it would stand in the way of the linger. Cheaper than a
   * signal for the same: one made of others costs more than all the rest of a small request's body.
   */
  leave(): void;
}

/**
 * Single use, one reader. Throws `client-gone` where the message ends early, `client-slow`, or the signal's reason; the error stays.
 * Leaving it early, or an error, leaves the socket usable and the rest unread: whoever answers then must `linger`.
 */
export function requestBody(request: RawRequest, options: RequestBodyOptions): IncomingBody {
  return new RequestBody(request, options);
}

/** What may have changed when a read found nothing. "end", "close" and "aborted" come alone or together, in any order. */
const changes = ["readable", "end", "close", "aborted", "error"] as const;

class RequestBody implements IncomingBody {
  readonly #request: RawRequest;
  readonly #signal: AbortSignal | undefined;
  readonly #pace: Pace;
  #isClosed = false;
  #failure: unknown = null;
  #wake: (() => void) | null = null;

  constructor(request: RawRequest, options: RequestBodyOptions) {
    this.#request = request;
    this.#signal = options.signal;
    this.#pace = new Pace({
      idleTimeoutMs: options.idleTimeoutMs,
      minBytesPerSecond: options.minBytesPerSecond,
      clock: options.clock ?? (() => performance.now()),
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isClosed) return { done: true, value: undefined };
    try {
      const chunk = await this.#read();
      if (chunk !== null) return { done: false, value: chunk };
      this.#isClosed = true;
      return { done: true, value: undefined };
    } catch (thrown) {
      this.#failure = thrown;
      throw thrown;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.leave();
    return { done: true, value: undefined };
  }

  leave(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  async #read(): Promise<Uint8Array | null> {
    const request = this.#request;
    for (;;) {
      this.#signal?.throwIfAborted();
      // HTTP/2: a reset stream may emit "end" like a whole one, but it is marked as aborted before.
      if (request.aborted) throw gone();
      const chunk: Uint8Array | null = request.read();
      if (chunk !== null) {
        this.#pace.received(chunk.length);
        if (this.#pace.isTooSlow()) throw slow();
        return chunk;
      }
      if (request.readableEnded) {
        if (!request.complete) throw gone();
        return null;
      }
      if (request.destroyed || this.#isClosed) throw gone();
      this.#pace.wait();
      await this.#change();
      // Bytes that have come are counted before the client is judged.
      if (request.readableLength === 0 && !request.readableEnded && this.#pace.isTooSlow()) throw slow();
    }
  }

  /** Listens only while it waits, so that an abandoned body stands in nobody's way. */
  async #change(): Promise<void> {
    const request = this.#request;
    const signal = this.#signal;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    // When the event loop was held up, timers come before the bytes that have been waiting for it.
    const timer = setTimeout(() => setImmediate(wake), this.#pace.remainingMs());
    for (const change of changes) request.on(change, wake);
    signal?.addEventListener("abort", wake);
    this.#wake = wake;
    try {
      await promise;
    } finally {
      this.#wake = null;
      clearTimeout(timer);
      for (const change of changes) request.off(change, wake);
      signal?.removeEventListener("abort", wake);
    }
  }
}

function gone(): ClamgateError {
  return new ClamgateError("client-gone", "The request ended before its body was complete");
}

function slow(): ClamgateError {
  return new ClamgateError("client-slow", "The request body came too slowly");
}

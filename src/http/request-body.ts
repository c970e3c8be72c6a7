/** The body of an HTTP/1 or HTTP/2 request, read as far as it has come. It never ends well unless the whole message has come. */

import { IncomingMessage } from "node:http";
import { performance } from "node:perf_hooks";
import { ChunkSource, freeChunk } from "../core/chunk-source.ts";
import type { Clock } from "../core/clock.ts";
import { ClamgateError } from "../core/errors.ts";
import { Pace } from "../core/pace.ts";
import { tellToContinue } from "./expectations.ts";
import { isWhollyRead, type RawRequest, type RawResponse } from "./raw.ts";

export interface RequestBodyOptions {
  /** A wait for a byte that lasts as long fails; also the window in which the rate is measured. */
  readonly idleTimeoutMs: number;
  /** Measured over the time that was spent waiting for the client. 0: no minimum. */
  readonly minBytesPerSecond: number;
  /** Ends a wait with its reason. */
  readonly signal?: AbortSignal;
  /** Nothing of it may have been sent. A client that waits for 100 Continue is told so by it, before it is waited for. */
  readonly response?: RawResponse;
  readonly clock?: Clock;
}

const reading = Symbol("reading");

/** Who reads a request whose bytes are counted: a field of its own costs nothing where none are. */
type Counted = object & { [reading]?: { body: RequestBody | null } };

/** To be called before the body is read, once. Returns what tells how many bytes of it have been read by now. */
export function countBytes(request: RawRequest & Counted): () => number {
  const counted = { body: null as RequestBody | null };
  request[reading] = counted;
  return () => counted.body?.bytes ?? 0;
}

/** What may have changed when a read found nothing. "end", "close" and "aborted" come alone or together, in any order. */
const changes = ["readable", "end", "close", "aborted", "error"] as const;

/**
 * A chunk is the reader's until it asks for the next one: its memory is gone then. Throws `client-gone` where the message ends early or
 * after `leave`, `client-slow`, or the signal's reason. Whoever stops reading before the end says `leave`, which also ends a wait: it
 * would stand in the way of the linger. The socket stays usable and the rest unread: whoever answers then must `linger`.
 */
export class RequestBody extends ChunkSource {
  readonly #request: RawRequest;
  readonly #signal: AbortSignal | undefined;
  readonly #response: RawResponse | undefined;
  readonly #pace: Pace;
  #isAtEnd = false;
  #failure: unknown = null;
  #waiting: Promise<void> | null = null;
  #wake: (() => void) | null = null;
  #timer: NodeJS.Timeout | undefined;
  #hasWaited = false;
  #isListening = false;
  #bytes = 0;
  /** By the length in the head; Node says later that a body of HTTP/1 is whole. */
  readonly #declaredBytes: number | null;
  /** What the reader was given. */
  #last: Uint8Array | null = null;

  constructor(request: RawRequest & Counted, options: RequestBodyOptions) {
    super();
    if (request[reading] !== undefined) request[reading].body = this;
    this.#request = request;
    this.#signal = options.signal;
    this.#response = options.response;
    const { "content-length": length, "transfer-encoding": coding } = request.headers;
    const isCounted = request instanceof IncomingMessage && coding === undefined && length !== undefined;
    this.#declaredBytes = isCounted ? Number(length) : null;
    this.#pace = new Pace({
      idleTimeoutMs: options.idleTimeoutMs,
      minBytesPerSecond: options.minBytesPerSecond,
      clock: options.clock ?? (() => performance.now()),
    });
  }

  /** Read by now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it has been read to its end. */
  get isAtEnd(): boolean {
    return this.#isAtEnd;
  }

  take(): Uint8Array | null | undefined {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isAtEnd) return null;
    this.#freeLast();
    try {
      const chunk = this.#read();
      this.#isAtEnd = chunk === null;
      if (chunk === null) this.#ignore();
      else if (chunk !== undefined) this.#last = chunk;
      return chunk;
    } catch (thrown) {
      this.#failure = thrown;
      this.#ignore();
      throw thrown;
    }
  }

  ready(): Promise<void> {
    this.#waiting ??= new Promise((resolve) => {
      this.#wake = resolve;
      this.#waitForChange();
    });
    return this.#waiting;
  }

  leave(): void {
    if (!this.#isAtEnd) this.#failure ??= gone();
    this.#ignore();
    this.#onChange();
  }

  /** Node copies each chunk of HTTP/1 for its reader alone; those of HTTP/2 are views of what others still read. */
  #freeLast(): void {
    if (this.#last !== null && this.#request instanceof IncomingMessage) freeChunk(this.#last);
    this.#last = null;
  }

  #read(): Uint8Array | null | undefined {
    const request = this.#request;
    this.#signal?.throwIfAborted();
    // HTTP/2: a reset stream may emit "end" like a whole one, but it is marked as aborted before.
    if (request.aborted) throw gone();
    const chunk: Uint8Array | null = request.read();
    if (chunk !== null) {
      this.#bytes += chunk.length;
      this.#pace.received(chunk.length);
      if (this.#pace.isTooSlow()) throw slow();
      return chunk;
    }
    if (isWhollyRead(request)) {
      if (!request.complete) throw gone();
      return null;
    }
    if (this.#bytes === this.#declaredBytes) {
      request.resume(); // its "end" has still to come
      return null;
    }
    if (request.destroyed) throw gone();
    // Bytes that have come are counted before the client is judged.
    if (this.#pace.isTooSlow()) throw slow();
    if (this.#response !== undefined) tellToContinue(request, this.#response);
    this.#pace.wait();
    return undefined;
  }

  /**
   * One timer and one set of listeners for all waits of a body: thousands of clients that trickle wait for a second each, and what is made
   * for every wait grows old meanwhile, which is the dearest kind of garbage. The first wait does without: a small body comes in one piece
   * with its head, and has been parsed by the next tick.
   */
  #waitForChange(): void {
    if (!this.#hasWaited) {
      this.#hasWaited = true;
      process.nextTick(this.#onChange);
      return;
    }
    this.#listen();
    this.#timer ??= setTimeout(this.#onTime, this.#pace.remainingMs());
  }

  readonly #onChange = (): void => {
    const wake = this.#wake;
    this.#wake = null;
    this.#waiting = null;
    wake?.();
  };

  readonly #onTime = (): void => {
    this.#timer = undefined;
    if (this.#wake === null) return;
    const leftMs = this.#pace.remainingMs();
    // When the event loop was held up, timers come before the bytes that have been waiting for it.
    if (leftMs <= 1) setImmediate(this.#onChange);
    else this.#timer = setTimeout(this.#onTime, leftMs);
  };

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    for (const change of changes) this.#request.on(change, this.#onChange);
    this.#signal?.addEventListener("abort", this.#onChange);
  }

  /** A body that is not read any more stands in nobody's way. */
  #ignore(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#isListening) return;
    this.#isListening = false;
    for (const change of changes) this.#request.off(change, this.#onChange);
    this.#signal?.removeEventListener("abort", this.#onChange);
  }
}

function gone(): ClamgateError {
  return new ClamgateError("client-gone", "The request ended before its body was complete");
}

function slow(): ClamgateError {
  return new ClamgateError("client-slow", "The request body came too slowly");
}

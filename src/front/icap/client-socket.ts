/** One client's connection: bytes as they are asked for, answers as the client takes them, and its two ends: FIN, or a reset. */

import type { Socket } from "node:net";
import { ClamgateError } from "../../core/errors.ts";

export interface ClientSocketOptions {
  /** What is spoken over. */
  readonly socket: Socket;
  /** What was accepted: with TLS another one, and the only one that can be reset. */
  readonly accepted: Socket;
  /** How long a client may take no byte of an answer. */
  readonly answerTimeoutMs: number;
}

/** What comes while nobody asks is held up to here; then the socket is paused. */
const maxEarlyBytes = 16 * 1024;
/** How long what a client still sends is read after the end of the last answer: a connection that is closed on unread bytes is reset. */
const lingerMs = 1000;
const nothing = new Uint8Array(0);

export class ClientSocket {
  readonly #socket: Socket;
  readonly #accepted: Socket;
  readonly #answerTimeoutMs: number;
  readonly #gone = new AbortController();
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  #isEnded = false;
  /** What the reader waits for. */
  #wait: (PromiseWithResolvers<void> & { endsAt: number }) | null = null;
  #timer: { readonly firesAt: number; readonly handle: NodeJS.Timeout } | null = null;

  constructor({ socket, accepted, answerTimeoutMs }: ClientSocketOptions) {
    this.#socket = socket;
    this.#accepted = accepted;
    this.#answerTimeoutMs = answerTimeoutMs;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => this.#leave());
    socket.on("close", () => this.#leave());
    socket.on("error", () => {}); // "close" follows
    // Never in the middle of the reader's own work.
    socket.on("timeout", () => this.reset());
  }

  /** Aborted when the client has gone, with the reason; or when the gateway stops. A client that sends FIN has gone. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** What has come and nobody has asked for. */
  get early(): Uint8Array {
    return this.#queue[0] ?? nothing;
  }

  /** The next bytes, the reader's alone; null where the client has ended; undefined while nothing has come: then `change`. */
  take(): Buffer | null | undefined {
    const chunk = this.#queue.shift();
    if (chunk === undefined) return this.#isEnded ? null : undefined;
    this.#queuedBytes -= chunk.length;
    if (this.#queue.length === 0 && this.#socket.isPaused()) this.#socket.resume();
    return chunk;
  }

  /** Resolves when `take` may know more. One wait at a time: where one was given up, its time counts no more. Rejects with `client-slow`. */
  change(timeoutMs: number): Promise<void> {
    const endsAt = performance.now() + timeoutMs;
    this.#wait ??= { ...Promise.withResolvers<void>(), endsAt };
    this.#wait.endsAt = endsAt;
    this.#setTimer(endsAt);
    return this.#wait.promise;
  }

  /** In one write. Resolves when the client has taken so much that there is room again; rejects where it has gone. */
  async write(...pieces: readonly (string | Uint8Array)[]): Promise<void> {
    if (this.#socket.destroyed) throw gone();
    this.#socket.cork();
    const isRoom = pieces.map((piece) => this.#socket.write(piece)).at(-1) ?? true;
    this.#socket.uncork();
    if (!isRoom) await this.#drained();
  }

  async #drained(): Promise<void> {
    this.#socket.setTimeout(this.#answerTimeoutMs);
    try {
      await new Promise<void>((resolve, reject) => {
        const settle = () => {
          this.#socket.off("drain", onDrain).off("close", onClose);
        };
        const onDrain = () => {
          settle();
          resolve();
        };
        const onClose = () => {
          settle();
          reject(gone());
        };
        this.#socket.on("drain", onDrain).on("close", onClose);
      });
    } finally {
      this.#socket.setTimeout(0);
    }
  }

  /** Has everything that waits for this client given up. */
  stop(reason: ClamgateError): void {
    this.#gone.abort(reason);
    this.#wake();
  }

  /** FIN behind what has been written; what still comes is discarded for a moment. Nothing may be unanswered. */
  end(): void {
    if (this.#socket.destroyed) return;
    this.#isEnded = true;
    this.#socket.end();
    this.#queue.length = 0;
    this.#socket.removeAllListeners("data").on("data", () => {});
    this.#socket.resume();
    const timer = setTimeout(() => this.#socket.destroy(), lingerMs);
    this.#socket.once("close", () => clearTimeout(timer));
    this.#wake();
  }

  /** As `end`, for a client that goes on sending. */
  endAndReset(): void {
    const timer = setTimeout(() => this.reset(), lingerMs);
    this.#socket.once("close", () => clearTimeout(timer));
    this.#socket.removeAllListeners("data").on("data", () => {});
    this.#socket.resume();
  }

  /**
   * Ends the connection so that nobody takes what was sent for a whole answer. It waits for what was written before, which a reset would
   * take along: that is the answer to another request.
   */
  async resetAfterAnswers(): Promise<void> {
    if (this.#socket.writableLength > 0) {
      await Promise.race([this.#drained(), new Promise((resolve) => setTimeout(resolve, lingerMs))]).catch(() => {});
    }
    this.reset();
  }

  reset(): void {
    if (!this.#accepted.destroyed) this.#accepted.resetAndDestroy();
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    // Whoever waits for it takes it before the next one comes.
    if (this.#wait === null && this.#queuedBytes >= maxEarlyBytes) this.#socket.pause();
    this.#wake();
  }

  #leave(): void {
    this.#isEnded = true;
    clearTimeout(this.#timer?.handle);
    this.#timer = null;
    this.#gone.abort(gone());
    this.#wake();
  }

  #wake(): void {
    const wait = this.#wait;
    this.#wait = null;
    wait?.resolve();
  }

  /** One timer for all waits, as most of them end long before it. When it fires it looks whether the present one is over. */
  #setTimer(endsAt: number): void {
    if (this.#timer !== null && this.#timer.firesAt <= endsAt) return;
    clearTimeout(this.#timer?.handle);
    const handle = setTimeout(() => this.#onTime(), endsAt - performance.now());
    this.#timer = { firesAt: endsAt, handle };
  }

  #onTime(): void {
    this.#timer = null;
    const wait = this.#wait;
    if (wait === null) return;
    if (wait.endsAt - performance.now() > 1) {
      this.#setTimer(wait.endsAt);
      return;
    }
    // When the event loop was held up, timers come before the bytes that have been waiting for it.
    setImmediate(() => {
      if (this.#wait !== wait) return;
      this.#wait = null;
      wait.reject(new ClamgateError("client-slow", "The request came too slowly"));
    });
  }
}

function gone(): ClamgateError {
  return new ClamgateError("client-gone", "The client has gone");
}

/** Iterates a body by hand, so that waiting for its next chunk can be given up and the body is never closed by us. */

import { ClamgateError } from "../core/errors.ts";

/**
 * `for await` would call the iterator's `return` on every early end, and over a Node request that destroys the socket on
 * which the refusal must still be answered. Here `return` is never called: the body stays its owner's, to drain or to close.
 * One listener serves the whole body; `Promise.race` on one long promise would keep something for every chunk.
 */
export class ChunkSource {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => this.stop(this.#signal.reason);
  #stopped: { readonly reason: unknown } | null = null;
  #rejectPending: ((reason: unknown) => void) | null = null;

  constructor(body: AsyncIterable<Uint8Array>, signal: AbortSignal) {
    this.#iterator = body[Symbol.asyncIterator]();
    this.#signal = signal;
    if (signal.aborted) this.stop(signal.reason);
    else signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** The next chunk, or null at the end. Rejects with the body's own error, or at once with the reason it was stopped for. */
  async next(): Promise<Uint8Array | null> {
    this.throwIfStopped();
    const result = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      this.#rejectPending = reject;
      // Settles after a stop, too: a late error of an abandoned body is then nobody's unhandled rejection.
      this.#iterator.next().then(resolve, reject);
    });
    this.#rejectPending = null;
    this.throwIfStopped();
    if (result.done) return null;
    if (!(result.value instanceof Uint8Array)) {
      // A stream with an encoding set yields strings, whatever its type says; they would be copied as zeros.
      throw new ClamgateError("internal", "Internal error", { detail: "a body yielded something that is not bytes" });
    }
    return result.value;
  }

  /** Ends the wait and everything after it with `reason`; the first reason stays. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason };
    this.#rejectPending?.(this.#stopped.reason);
  }

  throwIfStopped(): void {
    if (this.#stopped !== null) throw this.#stopped.reason;
  }

  /** Takes the listener off the signal. */
  release(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}

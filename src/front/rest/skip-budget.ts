/** How long and how much of an upload is still read after its answer cannot be 200 any more. */

export interface SkipLimits {
  readonly maxBytes: number;
  readonly maxMs: number;
}

/** Shared by all parts of a request that are skipped. The time runs from the first of them, whatever the client then sends. */
export class SkipBudget {
  readonly #limits: SkipLimits;
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #isExpired = false;
  #onExpired: (() => void) | null = null;

  constructor(limits: SkipLimits) {
    this.#limits = limits;
  }

  /** False when these bytes are more than may be skipped. */
  spend(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes <= this.#limits.maxBytes;
  }

  /** The promise's value, or null when the time is over first. One call at a time; a race per chunk would keep every one of them. */
  within<T>(promise: Promise<T>): Promise<T | null> {
    this.#timer ??= setTimeout(() => {
      this.#isExpired = true;
      this.#onExpired?.();
    }, this.#limits.maxMs);
    return new Promise((resolve, reject) => {
      this.#onExpired = () => resolve(null);
      promise.then(resolve, reject);
      if (this.#isExpired) resolve(null);
    });
  }

  /** Nothing is skipped after that. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

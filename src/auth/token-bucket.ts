/** A bucket of tokens that fills up steadily: what is in it may be taken at once. */

import type { Clock } from "../core/clock.ts";

/** So many in so much time; also the size of the bucket. */
export interface Rate {
  readonly amount: number;
  readonly windowMs: number;
}

/** Sums of fractions are off by less, and less than a byte is worth. */
const toleranceMs = 1e-6;

/** Full at first. Kept as the time at which it is full, so that nothing has to be filled up and no remainder is lost. */
export class TokenBucket {
  readonly rate: Rate;
  readonly #clock: Clock;
  readonly #msPerToken: number;
  #fullAt = Number.NEGATIVE_INFINITY;

  constructor(rate: Rate, clock: Clock) {
    this.rate = rate;
    this.#clock = clock;
    this.#msPerToken = rate.windowMs / rate.amount;
  }

  /**
   * Until so many can be taken; 0 where they can be now. More than it holds can be taken once it is full, and the rest is owed: nobody is
   * shut out for ever.
   */
  waitMs(tokens: number): number {
    const missingMs = Math.max(0, this.#fullAt - this.#clock());
    const waitMs = missingMs + Math.min(tokens, this.rate.amount) * this.#msPerToken - this.rate.windowMs;
    return waitMs <= toleranceMs ? 0 : waitMs;
  }

  /** Whether they are there or not. A negative number gives back. */
  take(tokens: number): void {
    this.#fullAt = Math.max(this.#fullAt, this.#clock()) + tokens * this.#msPerToken;
  }

  /** Whole tokens; 0 while something is owed. */
  left(): number {
    const missingMs = Math.max(0, this.#fullAt - this.#clock() - toleranceMs);
    return Math.max(0, Math.floor(this.rate.amount - missingMs / this.#msPerToken));
  }
}

/** Leaves a broken part alone for a while, then lets one caller try it again. */

import type { Clock } from "../core/clock.ts";

export interface BreakerOptions {
  readonly clock: Clock;
  /** As many faults in a row open it. */
  readonly maxFaults: number;
  readonly pauseMs: number;
}

export class Breaker {
  readonly #clock: Clock;
  readonly #maxFaults: number;
  readonly #pauseMs: number;
  #faults = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor({ clock, maxFaults, pauseMs }: BreakerOptions) {
    this.#clock = clock;
    this.#maxFaults = maxFaults;
    this.#pauseMs = pauseMs;
  }

  /** True from the last of too many faults until a caller succeeds. */
  get isOpen(): boolean {
    return this.#faults >= this.#maxFaults;
  }

  /** False while it is open. Who was let in reports `succeeded` or `failed`. */
  tryEnter(): boolean {
    if (!this.isOpen) return true;
    if (this.#clock() < this.#pausedUntilMs) return false;
    // This caller is the trial; the others go on waiting for its outcome.
    this.#pausedUntilMs = this.#clock() + this.#pauseMs;
    return true;
  }

  succeeded(): void {
    this.#faults = 0;
  }

  /** Answers whether the pause began with this fault. */
  failed(): boolean {
    this.#faults += 1;
    if (!this.isOpen) return false;
    this.#pausedUntilMs = this.#clock() + this.#pauseMs;
    return true;
  }
}

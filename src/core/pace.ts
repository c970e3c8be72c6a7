/** Judges whether a client that is being waited for sends enough: time that the gateway itself takes is never held against it. */

import type { Clock } from "./clock.ts";

export interface PaceOptions {
  /** The longest wait for a byte; also the window over which the rate is measured. */
  readonly idleTimeoutMs: number;
  /** 0: only the wait counts. */
  readonly minBytesPerSecond: number;
  readonly clock: Clock;
}

export class Pace {
  readonly #idleTimeoutMs: number;
  readonly #minBytesPerSecond: number;
  readonly #clock: Clock;
  /** When the present wait began; null while nobody waits. */
  #waitingSince: number | null = null;
  /** When the part of it that falls into this window began. */
  #countedSince = 0;
  #windowWaitedMs = 0;
  #windowBytes = 0;

  constructor(options: PaceOptions) {
    this.#idleTimeoutMs = options.idleTimeoutMs;
    this.#minBytesPerSecond = options.minBytesPerSecond;
    this.#clock = options.clock;
  }

  /** A wait for bytes begins; without effect while one goes on. */
  wait(): void {
    if (this.#waitingSince !== null) return;
    this.#waitingSince = this.#clock();
    this.#countedSince = this.#waitingSince;
  }

  /** The wait, if there was one, is over. */
  received(bytes: number): void {
    this.#windowBytes += bytes;
    if (this.#waitingSince === null) return;
    this.#windowWaitedMs += this.#clock() - this.#countedSince;
    this.#waitingSince = null;
  }

  /** When `isTooSlow` should be asked again, at the latest. */
  remainingMs(): number {
    if (this.#waitingSince === null) return this.#idleTimeoutMs;
    const now = this.#clock();
    const idleMs = this.#waitingSince + this.#idleTimeoutMs - now;
    const windowMs = this.#idleTimeoutMs - this.#windowWaitedMs - (now - this.#countedSince);
    return Math.max(1, Math.ceil(Math.min(idleMs, windowMs)));
  }

  isTooSlow(): boolean {
    const now = this.#clock();
    if (this.#waitingSince !== null && now - this.#waitingSince >= this.#idleTimeoutMs) return true;
    const waitedMs = this.#windowWaitedMs + (this.#waitingSince === null ? 0 : now - this.#countedSince);
    if (waitedMs < this.#idleTimeoutMs) return false;
    const isBelow = this.#windowBytes * 1000 < this.#minBytesPerSecond * waitedMs;
    this.#windowWaitedMs = 0;
    this.#windowBytes = 0;
    this.#countedSince = now;
    return isBelow;
  }
}

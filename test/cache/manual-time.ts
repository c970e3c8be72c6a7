/** Time that passes only when the test says so: both clocks and the timers of a cache. */

import type { Timers } from "../../src/cache/timers.ts";

interface Waiting {
  readonly dueMs: number;
  readonly callback: () => void;
}

export class ManualTime implements Timers {
  readonly #waiting = new Set<Waiting>();
  #elapsedMs = 0;
  #wallMs = Date.UTC(2026, 0, 1);

  /** Monotonic, from 0. */
  readonly clock = (): number => this.#elapsedMs;

  /** The wall clock. */
  readonly now = (): number => this.#wallMs;

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Time of the next timer, from now; null where none waits. */
  get nextMs(): number | null {
    const due = [...this.#waiting].map(({ dueMs }) => dueMs);
    return due.length === 0 ? null : Math.min(...due) - this.#elapsedMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const entry = { dueMs: this.#elapsedMs + delayMs, callback };
    this.#waiting.add(entry);
    return () => this.#waiting.delete(entry);
  }

  advance(ms: number): void {
    this.#elapsedMs += ms;
    this.#wallMs += ms;
    for (const entry of [...this.#waiting]) {
      if (entry.dueMs > this.#elapsedMs) continue;
      this.#waiting.delete(entry);
      entry.callback();
    }
  }

  /** Somebody sets the wall clock; the other one does not notice. */
  setWall(changeMs: number): void {
    this.#wallMs += changeMs;
  }
}

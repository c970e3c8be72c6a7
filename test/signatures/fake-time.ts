/** A clock and timers that move only when a test says so. */

import type { After } from "../../src/signatures/updater.ts";

export class FakeTime {
  #now = Date.UTC(2026, 10, 22, 12);
  #timers: { at: number; action: () => void }[] = [];

  readonly now = (): number => this.#now;

  readonly after: After = (ms, action) => {
    const timer = { at: this.#now + ms, action };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  /** Milliseconds until each timer, soonest first. */
  waits(): number[] {
    return this.#timers.map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Goes on by `ms` and lets off what is due, in order; what those start is not waited for. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#now = Math.max(this.#now, due.at);
      due.action();
    }
    this.#now = end;
  }
}

/** Tells when whoever is asked has stopped answering: a connection to a process that hangs looks like any other. */

import type { Timers } from "../timers.ts";

export interface HeartbeatOptions {
  readonly timers: Timers;
  readonly tickMs: number;
  /** Asks something when nothing else is asked; passed through `track`. */
  readonly probe: () => void;
  /** Called once; the watch is over then. */
  readonly onSilent: () => void;
}

/** Ticks that the same question must have stayed open for. Counted, not timed: a late tick is our own fault, not theirs. */
const maxTicks = 2;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /** Oldest first. */
  readonly #open = new Set<object>();
  #suspect: object | undefined;
  #ticks = 0;
  #cancel: () => void;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#cancel = this.#wait();
  }

  async track<T>(answer: Promise<T>): Promise<T> {
    const question = {};
    this.#open.add(question);
    try {
      return await answer;
    } finally {
      this.#open.delete(question);
    }
  }

  stop(): void {
    this.#cancel();
  }

  #wait(): () => void {
    return this.#options.timers.after(this.#options.tickMs, () => this.#tick());
  }

  #tick(): void {
    const [oldest] = this.#open;
    this.#ticks = oldest !== undefined && oldest === this.#suspect ? this.#ticks + 1 : 0;
    this.#suspect = oldest;
    if (this.#ticks >= maxTicks) {
      this.#options.onSilent();
      return;
    }
    this.#cancel = this.#wait();
    if (oldest === undefined) this.#options.probe();
  }
}

/** Makes any store safe to ask: what throws or hangs is nothing after a short while, and soon the store is not asked at all. */

import type { Clock } from "../core/clock.ts";
import type { Emit } from "../core/events.ts";
import type { CacheHealth } from "../core/verdict-cache.ts";
import { Breaker } from "./breaker.ts";
import { systemTimers, type Timers } from "./timers.ts";

export interface GuardOptions {
  /** What a call may cost a scan; what takes longer goes on without anybody waiting. */
  readonly budgetMs: number;
  readonly emit: Emit;
  readonly clock: Clock;
  readonly timers?: Timers;
}

const maxFaults = 5;
const pauseMs = 5000;
/** Closing writes out what is pending, so it may take longer than a scan would wait. */
const closeMs = 2000;

export class Guard {
  readonly #options: GuardOptions;
  readonly #timers: Timers;
  readonly #breaker: Breaker;
  #closing: Promise<void> | null = null;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#breaker = new Breaker({ clock: options.clock, maxFaults, pauseMs });
  }

  /** Null where there is no answer, and once it is closed. Never rejects. */
  async attempt<T>(operation: "get" | "set", call: () => Promise<T>): Promise<T | null> {
    if (this.#closing !== null || !this.#breaker.tryEnter()) return null;
    try {
      const value = await within(this.#options.budgetMs, this.#timers, call);
      this.#breaker.succeeded();
      return value;
    } catch (thrown) {
      const pause = this.#breaker.failed() ? `; left alone for ${pauseMs} ms` : "";
      this.#options.emit({ kind: "cache-failed", operation, detail: textOf(thrown) + pause });
      return null;
    }
  }

  health(ofStore: CacheHealth | undefined): CacheHealth {
    return this.#breaker.isOpen ? "degraded" : (ofStore ?? "ok");
  }

  /** Once, however often it is asked for. Never rejects. */
  close(call: () => Promise<void>): Promise<void> {
    this.#closing ??= this.#close(call);
    return this.#closing;
  }

  async #close(call: () => Promise<void>): Promise<void> {
    try {
      await within(closeMs, this.#timers, call);
    } catch (thrown) {
      this.#options.emit({ kind: "cache-failed", operation: "close", detail: textOf(thrown) });
    }
  }
}

/** A late outcome is dropped, a late error with it: its fault was told when the time was up. */
async function within<T>(budgetMs: number, timers: Timers, call: () => Promise<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const cancel = timers.after(budgetMs, () => reject(new Error(`no answer within ${budgetMs} ms`)));
  try {
    call().then(resolve, reject);
    return await promise;
  } finally {
    cancel();
  }
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

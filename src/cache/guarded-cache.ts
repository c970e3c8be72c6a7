/** Makes any cache safe to ask: what throws, hangs or answers nonsense is a miss, and soon is not asked at all. */

import type { Cache, Clock, Observe, VerdictCache } from "../core/ports.ts";
import type { Verdict } from "../core/verdict.ts";
import { type Parse, parseVerdict } from "./admission.ts";
import { Breaker } from "./breaker.ts";
import { systemTimers, type Timers } from "./timers.ts";

export interface GuardedCacheOptions<Value> {
  /** Closed with the guard. */
  readonly cache: Cache<Value>;
  /** What `get` and `set` may cost a scan; what takes longer goes on without anybody waiting. */
  readonly budgetMs: number;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly timers?: Timers;
}

const maxFaults = 5;
const pauseMs = 5000;
/** Closing writes out what is pending, so it may take longer than a scan would wait. */
const closeMs = 2000;

export function guardedCache(options: GuardedCacheOptions<Verdict>): VerdictCache {
  return guardedCacheOf(parseVerdict, options);
}

export function guardedCacheOf<Value>(parse: Parse<Value>, options: GuardedCacheOptions<Value>): Cache<Value> {
  const { cache, budgetMs, observe, clock, timers = systemTimers } = options;
  const breaker = new Breaker({ clock, maxFaults, pauseMs });
  let closing: Promise<void> | null = null;

  async function attempt<T>(operation: "get" | "set", call: () => Promise<T>): Promise<T | null> {
    if (closing !== null || !breaker.tryEnter()) return null;
    try {
      const value = await within(budgetMs, timers, call);
      breaker.succeeded();
      return value;
    } catch (thrown) {
      const pause = breaker.failed() ? `; left alone for ${pauseMs} ms` : "";
      observe({ kind: "cache-failed", operation, detail: textOf(thrown) + pause });
      return null;
    }
  }

  async function close(): Promise<void> {
    try {
      await within(closeMs, timers, () => cache.close());
    } catch (thrown) {
      observe({ kind: "cache-failed", operation: "close", detail: textOf(thrown) });
    }
  }

  return {
    get: (key) =>
      attempt("get", async () => {
        const value = await cache.get(key);
        const parsed = parse(value);
        if (parsed === null && value !== null) throw new Error("the cache answered something that is no verdict");
        return parsed;
      }),
    async set(key, value, ttlSeconds) {
      await attempt("set", () => cache.set(key, value, ttlSeconds));
    },
    health: () => (breaker.isOpen ? "degraded" : (cache.health?.() ?? "ok")),
    close() {
      closing ??= close();
      return closing;
    },
  };
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

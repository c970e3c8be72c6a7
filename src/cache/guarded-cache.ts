/** Any cache behind a guard: what throws, hangs or answers nonsense is a miss. */

import type { Verdict } from "../core/verdict.ts";
import type { Cache, VerdictCache } from "../core/verdict-cache.ts";
import { type Parse, parseVerdict } from "./cacheable.ts";
import { Guard, type GuardOptions } from "./guard.ts";

export interface GuardedCacheOptions<Value> extends GuardOptions {
  /** Closed with the guard. */
  readonly cache: Cache<Value>;
}

export function guardedCache(options: GuardedCacheOptions<Verdict>): VerdictCache {
  return guardedCacheOf(parseVerdict, options);
}

export function guardedCacheOf<Value>(parse: Parse<Value>, options: GuardedCacheOptions<Value>): Cache<Value> {
  return guardedBy(new Guard(options), parse, options.cache);
}

/** Whatever else is asked of the cache goes by the same guard. */
export function guardedBy<Value>(guard: Guard, parse: Parse<Value>, cache: Cache<Value>): Cache<Value> {
  return {
    get: (key) =>
      guard.attempt("get", async () => {
        const value = await cache.get(key);
        const parsed = parse(value);
        if (parsed === null && value !== null) throw new Error("the cache answered something that is no verdict");
        return parsed;
      }),
    async set(key, value, ttlSeconds) {
      await guard.attempt("set", () => cache.set(key, value, ttlSeconds));
    },
    health: () => guard.health(cache.health?.()),
    close: () => guard.close(() => cache.close()),
  };
}

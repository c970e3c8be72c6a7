/** Verdicts in this process's memory: gone with it. */

import { LRUCache } from "lru-cache";
import type { Clock } from "../core/clock.ts";
import type { Verdict } from "../core/verdict.ts";
import type { Cache, VerdictKey } from "../core/verdict-cache.ts";
import { admit, keyId, type Parse, parseVerdict } from "./cacheable.ts";

export interface MemoryCacheOptions {
  /** At least 1; beyond it the verdict not asked for the longest goes. One takes some 300 bytes. */
  readonly maxEntries: number;
  readonly clock: Clock;
}

interface Entry<Value> {
  readonly value: Value;
  readonly expiresAtMs: number;
}

/** Nobody waits for it, so whatever it does is done at once. */
export interface MemoryCache<Value> extends Cache<Value> {
  /** `get` knows no more. */
  peek(key: VerdictKey): Value | null;
  /** `set`. */
  put(key: VerdictKey, value: Value, ttlSeconds: number): void;
}

export function memoryCache(options: MemoryCacheOptions): MemoryCache<Verdict> {
  return memoryCacheOf(parseVerdict, options);
}

export function memoryCacheOf<Value>(parse: Parse<Value>, { maxEntries, clock }: MemoryCacheOptions): MemoryCache<Value> {
  // Its own `ttl` is not used: it takes a clock at 0 for "no time set", and is late by up to a millisecond.
  const entries = new LRUCache<string, Entry<Value>>({ max: maxEntries });
  let isClosed = false;
  function peek(key: VerdictKey): Value | null {
    const id = keyId(key);
    const entry = id === null ? undefined : entries.get(id);
    if (id === null || entry === undefined) return null;
    if (clock() < entry.expiresAtMs) return entry.value;
    entries.delete(id);
    return null;
  }

  function put(key: VerdictKey, value: Value, ttlSeconds: number): void {
    const admission = admit(key, value, ttlSeconds, parse);
    if (admission === null || isClosed) return;
    entries.set(admission.id, { value: admission.value, expiresAtMs: clock() + admission.ttlMs });
  }

  return {
    peek,
    put,
    get: async (key) => peek(key),
    set: async (key, value, ttlSeconds) => put(key, value, ttlSeconds),
    async close() {
      isClosed = true;
      entries.clear();
    },
  };
}

/** Verdicts in this process's memory: gone with it. */

import { LRUCache } from "lru-cache";
import type { Cache, Clock, VerdictCache } from "../core/ports.ts";
import { admit, keyId, type Parse, parseVerdict } from "./admission.ts";

export interface MemoryCacheOptions {
  /** At least 1; beyond it the verdict not asked for the longest goes. One takes some 300 bytes. */
  readonly maxEntries: number;
  readonly clock: Clock;
}

interface Entry<Value> {
  readonly value: Value;
  readonly expiresAtMs: number;
}

export function memoryCache(options: MemoryCacheOptions): VerdictCache {
  return memoryCacheOf(parseVerdict, options);
}

export function memoryCacheOf<Value>(parse: Parse<Value>, { maxEntries, clock }: MemoryCacheOptions): Cache<Value> {
  // Its own `ttl` is not used: it takes a clock at 0 for "no time set", and is late by up to a millisecond.
  const entries = new LRUCache<string, Entry<Value>>({ max: maxEntries });
  let isClosed = false;
  return {
    async get(key) {
      const id = keyId(key);
      const entry = id === null ? undefined : entries.get(id);
      if (id === null || entry === undefined) return null;
      if (clock() < entry.expiresAtMs) return entry.value;
      entries.delete(id);
      return null;
    },
    async set(key, value, ttlSeconds) {
      const admission = admit(key, value, ttlSeconds, parse);
      if (admission === null || isClosed) return;
      entries.set(admission.id, { value: admission.value, expiresAtMs: clock() + admission.ttlMs });
    },
    async close() {
      isClosed = true;
      entries.clear();
    },
  };
}

/** Verdicts in this process's memory: gone with it. */

import { LRUCache } from "lru-cache";
import type { Clock, VerdictCache } from "../core/ports.ts";
import type { Verdict } from "../core/verdict.ts";
import { admit, keyId } from "./admission.ts";

export interface MemoryCacheOptions {
  /** At least 1; beyond it the verdict not asked for the longest goes. One takes some 300 bytes. */
  readonly maxEntries: number;
  readonly clock: Clock;
}

interface Entry {
  readonly verdict: Verdict;
  readonly expiresAtMs: number;
}

export function memoryCache({ maxEntries, clock }: MemoryCacheOptions): VerdictCache {
  // Its own `ttl` is not used: it takes a clock at 0 for "no time set", and is late by up to a millisecond.
  const entries = new LRUCache<string, Entry>({ max: maxEntries });
  let isClosed = false;
  return {
    async get(key) {
      const id = keyId(key);
      const entry = id === null ? undefined : entries.get(id);
      if (id === null || entry === undefined) return null;
      if (clock() < entry.expiresAtMs) return entry.verdict;
      entries.delete(id);
      return null;
    },
    async set(key, verdict, ttlSeconds) {
      const admission = admit(key, verdict, ttlSeconds);
      if (admission === null || isClosed) return;
      entries.set(admission.id, { verdict: admission.verdict, expiresAtMs: clock() + admission.ttlMs });
    },
    async close() {
      isClosed = true;
      entries.clear();
    },
  };
}

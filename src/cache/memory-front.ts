/** Memory in front of every store: what was known here is known at once, whatever the store does. */

import { LRUCache } from "lru-cache";
import type { Clock } from "../core/clock.ts";
import type { Verdict } from "../core/verdict.ts";
import type { CacheHealth, Lookup, UrlVerdictCache, VerdictCache, VerdictKey } from "../core/verdict-cache.ts";
import { type Cacheable, cacheable, keyId, type Parse, parseVerdict, type UrlRecord } from "./cacheable.ts";
import type { FleetCache } from "./redis/fleet-cache.ts";

/** `VerdictCache` for values of any kind, of this gateway alone. */
export interface LocalCache<Value> {
  peek(key: VerdictKey): Value | null;
  set(key: VerdictKey, value: Value, ttlSeconds: number): void;
  health(): CacheHealth;
  close(): Promise<void>;
}

/** What answers at once, as a file does. None of its functions throws. */
export interface LocalStore<Value> {
  get(key: VerdictKey): StoredValue<Value> | null;
  /** `get` finds it at once; it is written later. */
  set(key: VerdictKey, entry: Cacheable<Value>): void;
  health(): CacheHealth;
  /** Writes what is not written yet. */
  close(): void;
}

export interface StoredValue<Value> {
  readonly value: Value;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface MemoryFrontOptions<Value> {
  /** Closed with the memory. Null where nothing is kept but in memory. */
  readonly store: LocalStore<Value> | null;
  /** At least 1; beyond it the value not asked for the longest goes. One takes some 300 bytes. */
  readonly maxEntries: number;
  readonly clock: Clock;
  /** The wall clock in milliseconds, as Date.now: the clock of a store, which outlives the process. */
  readonly now: () => number;
}

export function memoryFront<Value>(parse: Parse<Value>, options: MemoryFrontOptions<Value>): LocalCache<Value> {
  const { store, maxEntries, clock, now } = options;
  // Its own `ttl` is not used: it takes a clock at 0 for "no time set", and is late by up to a millisecond.
  const memory = new LRUCache<string, { readonly value: Value; readonly expiresAtMs: number }>({ max: maxEntries });
  let isClosed = false;

  function keep(id: string, value: Value, ttlMs: number): void {
    memory.set(id, { value, expiresAtMs: clock() + ttlMs });
  }

  return {
    peek(key) {
      const id = keyId(key);
      if (id === null || isClosed) return null;
      const held = memory.get(id);
      if (held !== undefined && clock() < held.expiresAtMs) return held.value;
      const found = store?.get(key) ?? null;
      if (found === null) return null;
      keep(id, found.value, found.expiresAt - now());
      return found.value;
    },
    set({ sha256, tag }, value, ttlSeconds) {
      const entry = cacheable({ sha256, tag }, value, ttlSeconds, parse);
      if (entry === null || isClosed) return;
      keep(entry.id, entry.value, entry.ttlMs);
      store?.set({ sha256, tag }, entry);
    },
    health: () => store?.health() ?? "ok",
    async close() {
      if (isClosed) return;
      isClosed = true;
      memory.clear();
      store?.close();
    },
  };
}

/** Remembers nothing: `VERDICT_CACHE=none`. */
export const noCache: LocalCache<never> = {
  peek: () => null,
  set() {},
  health: () => "ok",
  close: async () => {},
};

/** As it is stored where gateways share it: whoever finds it keeps it no longer than whoever set it. */
export type DatedVerdict = Verdict & {
  /** Milliseconds since the epoch. Without it nobody keeps the verdict but the store. */
  readonly expiresAt?: number;
};

export function parseDatedVerdict(value: unknown): DatedVerdict | null {
  if (typeof value !== "object" || value === null || !("expiresAt" in value)) return parseVerdict(value);
  const { expiresAt, ...rest } = value;
  const verdict = parseVerdict(rest);
  return verdict === null || !Number.isSafeInteger(expiresAt)
    ? verdict
    : Object.freeze({ ...verdict, expiresAt: Number(expiresAt) });
}

export interface SharedVerdictsOptions {
  /** Closed with this one. */
  readonly memory: LocalCache<Verdict>;
  /** Closed with this one. */
  readonly store: FleetCache<DatedVerdict>;
  /** The wall clock in milliseconds, as Date.now: the gateways' own ones are not comparable. */
  readonly now: () => number;
}

/** What was known here is known while the shared store is away. */
export function sharedVerdicts({ memory, store, now }: SharedVerdictsOptions): VerdictCache {
  return {
    peek: (key) => memory.peek(key),
    async lookUp(key, signal): Promise<Lookup<Verdict>> {
      const found = await store.lookUp(key, signal);
      if (found.kind === "unknown") return found;
      const { expiresAt, ...verdict } = found.value;
      if (expiresAt !== undefined) memory.set(key, verdict, (expiresAt - now()) / 1000);
      return { ...found, value: verdict };
    },
    set(key, verdict, ttlSeconds) {
      memory.set(key, verdict, ttlSeconds);
      void store.set(key, { ...verdict, expiresAt: Math.floor(now() + ttlSeconds * 1000) }, ttlSeconds);
    },
    health: () => store.health(),
    async close() {
      await Promise.all([memory.close(), store.close()]);
    },
  };
}

/** Longer than any record lives that it may cover. */
const forgottenSeconds = 7 * 86_400;

/** Verdicts by address in a cache of records. Closes it with this one. */
export function urlVerdicts(cache: LocalCache<UrlRecord>): UrlVerdictCache {
  return {
    peek: ({ address, tag }) => cache.peek({ sha256: address, tag })?.known ?? null,
    set: ({ address, tag }, known, ttlSeconds) => cache.set({ sha256: address, tag }, { known }, ttlSeconds),
    delete: ({ address, tag }) => cache.set({ sha256: address, tag }, { known: null }, forgottenSeconds),
    health: () => cache.health(),
    close: () => cache.close(),
  };
}

/** The same in a store that gateways share. Nothing is kept in front of it: what one of them forgets, all forget at once. */
export function sharedUrlVerdicts(store: Omit<FleetCache<UrlRecord>, "lookUp">): UrlVerdictCache {
  return {
    ...urlVerdicts({ ...store, peek: () => null, set: (key, record, ttlSeconds) => void store.set(key, record, ttlSeconds) }),
    get: async ({ address, tag }) => (await store.get({ sha256: address, tag }))?.known ?? null,
  };
}

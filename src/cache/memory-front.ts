/** Memory in front of verdicts that are kept elsewhere: what was known here is known while the store is away. */

import type { Clock } from "../core/clock.ts";
import type { Verdict } from "../core/verdict.ts";
import type { Lookup, VerdictCache } from "../core/verdict-cache.ts";
import { parseVerdict } from "./cacheable.ts";
import { memoryCache } from "./memory-cache.ts";
import type { FleetCache } from "./redis/fleet-cache.ts";

/** As it is stored: whoever finds it keeps it no longer than whoever set it. */
export type DatedVerdict = Verdict & {
  /** Milliseconds since the epoch. Without it nobody keeps the verdict but the store. */
  readonly expiresAt?: number;
};

export interface MemoryFrontOptions {
  /** Closed with the memory. */
  readonly store: FleetCache<DatedVerdict>;
  /** One takes some 300 bytes. */
  readonly maxEntries: number;
  readonly clock: Clock;
  /** The wall clock in milliseconds, as Date.now: the gateways' own ones are not comparable. */
  readonly now: () => number;
}

export function memoryFront({ store, maxEntries, clock, now }: MemoryFrontOptions): VerdictCache {
  const memory = memoryCache({ maxEntries, clock });

  function keep(key: Parameters<VerdictCache["get"]>[0], { expiresAt, ...verdict }: DatedVerdict): Verdict {
    if (expiresAt !== undefined) memory.put(key, verdict, (expiresAt - now()) / 1000);
    return verdict;
  }

  return {
    peek: (key) => memory.peek(key),
    async get(key) {
      const known = memory.peek(key);
      if (known !== null) return known;
      const found = await store.get(key);
      return found === null ? null : keep(key, found);
    },
    async lookUp(key, signal): Promise<Lookup<Verdict>> {
      const known = memory.peek(key);
      if (known !== null) return { kind: "known", value: known, isAwaited: false };
      const found = await store.lookUp(key, signal);
      return found.kind === "known" ? { ...found, value: keep(key, found.value) } : found;
    },
    async set(key, verdict, ttlSeconds) {
      memory.put(key, verdict, ttlSeconds);
      await store.set(key, { ...verdict, expiresAt: Math.floor(now() + ttlSeconds * 1000) }, ttlSeconds);
    },
    health: () => store.health?.() ?? "ok",
    async close() {
      await Promise.all([memory.close(), store.close()]);
    },
  };
}

export function parseDatedVerdict(value: unknown): DatedVerdict | null {
  if (typeof value !== "object" || value === null || !("expiresAt" in value)) return parseVerdict(value);
  const { expiresAt, ...rest } = value;
  const verdict = parseVerdict(rest);
  return verdict === null || !Number.isSafeInteger(expiresAt)
    ? verdict
    : Object.freeze({ ...verdict, expiresAt: Number(expiresAt) });
}

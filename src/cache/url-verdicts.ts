/** Verdicts by address, on any cache: what is forgotten is written over, so that other gateways forget it too. */

import type { Cache, UrlVerdict, UrlVerdictCache } from "../core/verdict-cache.ts";
import { hasOnly, parseVerdict } from "./cacheable.ts";

/** Null stands for what was forgotten. */
export interface UrlRecord {
  readonly known: UrlVerdict | null;
}

/** Longer than any record lives that it may cover. */
const forgottenSeconds = 7 * 86_400;

/** Closes the cache with it. */
export function urlVerdictCache(cache: Cache<UrlRecord>): UrlVerdictCache {
  return {
    get: async ({ address, tag }) => (await cache.get({ sha256: address, tag }))?.known ?? null,
    set: ({ address, tag }, known, ttlSeconds) => cache.set({ sha256: address, tag }, { known }, ttlSeconds),
    delete: ({ address, tag }) => cache.set({ sha256: address, tag }, { known: null }, forgottenSeconds),
    close: () => cache.close(),
  };
}

/** A record from where anything may stand; null for what is none. */
export function parseUrlRecord(value: unknown): UrlRecord | null {
  if (!hasOnly(value, ["known"])) return null;
  const { known } = value;
  if (known === null) return Object.freeze({ known });
  if (!hasOnly(known, ["verdict", "sha256", "size"])) return null;
  const verdict = parseVerdict(known.verdict);
  const { sha256, size } = known;
  if (verdict === null || typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) return null;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return null;
  return Object.freeze({ known: Object.freeze({ verdict, sha256, size }) });
}

/** The caches that VERDICT_CACHE asks for: verdicts by content; for the download proxy those by address, and what was given of each. */

import { type Parse, parseVerdict } from "./cache/admission.ts";
import { guardedCacheOf } from "./cache/guarded-cache.ts";
import { guardedCopies } from "./cache/guarded-copies.ts";
import { memoryCacheOf } from "./cache/memory-cache.ts";
import { memoryCopies } from "./cache/memory-copies.ts";
import { noCache } from "./cache/no-cache.ts";
import { sqliteCacheOf } from "./cache/sqlite-cache.ts";
import { sqliteCopies } from "./cache/sqlite-copies.ts";
import { parseUrlRecord, urlVerdictCache } from "./cache/url-verdicts.ts";
import type { Config } from "./config/settings.ts";
import type { Cache, CacheHealth, GivenCopies, Observe, UrlVerdictCache, VerdictCache } from "./core/ports.ts";

export interface Caches {
  readonly verdicts: VerdictCache;
  readonly urlVerdicts: UrlVerdictCache;
  readonly givenCopies: GivenCopies;
  health(): CacheHealth;
  close(): Promise<void>;
}

/** A cache slower than this is passed by. */
const budgetMs = 50;
const clock = () => performance.now();
/** Of given copies in memory, where no file or Redis has them all; and where one has. */
const ownAddresses = 100_000;
const addressesInFront = 10_000;

export async function openCaches(config: Config, observe: Observe): Promise<Caches> {
  const verdicts = await openCache(parseVerdict, "content", config, observe);
  const byAddress = await openCache(parseUrlRecord, "address", config, observe);
  const urlVerdicts = urlVerdictCache(byAddress);
  const givenCopies = await openCopies(config, observe);
  return {
    verdicts,
    urlVerdicts,
    givenCopies,
    health: () => ([verdicts, byAddress, givenCopies].some((cache) => cache.health?.() === "degraded") ? "degraded" : "ok"),
    async close() {
      await Promise.all([verdicts.close(), urlVerdicts.close(), givenCopies.close()]);
    },
  };
}

async function openCache<Value>(
  parse: Parse<Value>,
  by: "content" | "address",
  config: Config,
  observe: Observe,
): Promise<Cache<Value>> {
  const guarded = (cache: Cache<Value>) => guardedCacheOf(parse, { cache, budgetMs, observe, clock });
  const maxEntries = config.VERDICT_CACHE_MAX;
  const choice = config.VERDICT_CACHE;
  switch (choice.kind) {
    case "none":
      return noCache();
    case "memory":
      return memoryCacheOf(parse, { maxEntries, clock });
    case "sqlite": {
      const path = by === "content" ? choice.path : `${choice.path}-by-address`;
      return guarded(sqliteCacheOf(parse, { path, maxEntries, observe, clock, now: Date.now }));
    }
    case "redis": {
      // Whoever has no redis does not wait for its client at every start.
      const { redisCacheOf } = await import("./cache/redis-cache.ts");
      const keyPrefix = by === "content" ? "clamgate:2:" : "clamgate:2:url:";
      return guarded(redisCacheOf(parse, { target: choice.target, keyPrefix, observe, clock }));
    }
  }
}

/** Without a cache, too: which copies were given is no verdict that somebody may want to do without. */
async function openCopies(
  { VERDICT_CACHE: choice, VERDICT_CACHE_MAX: maxEntries }: Config,
  observe: Observe,
): Promise<GivenCopies> {
  const now = Date.now;
  const inFront = (store: GivenCopies) =>
    guardedCopies({ store, own: memoryCopies({ maxEntries: addressesInFront, now }), budgetMs, observe, clock });
  switch (choice.kind) {
    case "none":
    case "memory":
      return memoryCopies({ maxEntries: ownAddresses, now });
    case "sqlite":
      return inFront(sqliteCopies({ path: `${choice.path}-given`, maxEntries, observe, now }));
    case "redis": {
      const { redisCopies } = await import("./cache/redis-copies.ts");
      return inFront(redisCopies({ target: choice.target, keyPrefix: "clamgate:2:given:", observe, clock }));
    }
  }
}

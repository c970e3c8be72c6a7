/** The caches that VERDICT_CACHE asks for: verdicts by content, and by address for the download proxy. */

import { type Parse, parseVerdict } from "./cache/admission.ts";
import { guardedCacheOf } from "./cache/guarded-cache.ts";
import { memoryCacheOf } from "./cache/memory-cache.ts";
import { noCache } from "./cache/no-cache.ts";
import { sqliteCacheOf } from "./cache/sqlite-cache.ts";
import { parseUrlRecord, urlVerdictCache } from "./cache/url-verdicts.ts";
import type { Config } from "./config/settings.ts";
import type { Cache, CacheHealth, Observe, UrlVerdictCache, VerdictCache } from "./core/ports.ts";

export interface Caches {
  readonly verdicts: VerdictCache;
  readonly urlVerdicts: UrlVerdictCache;
  health(): CacheHealth;
  close(): Promise<void>;
}

/** A cache slower than this is passed by. */
const budgetMs = 50;

export async function openCaches(config: Config, observe: Observe): Promise<Caches> {
  const verdicts = await openCache(parseVerdict, "content", config, observe);
  const byAddress = await openCache(parseUrlRecord, "address", config, observe);
  const urlVerdicts = urlVerdictCache(byAddress);
  return {
    verdicts,
    urlVerdicts,
    health: () => ([verdicts, byAddress].some((cache) => cache.health?.() === "degraded") ? "degraded" : "ok"),
    async close() {
      await Promise.all([verdicts.close(), urlVerdicts.close()]);
    },
  };
}

async function openCache<Value>(
  parse: Parse<Value>,
  by: "content" | "address",
  config: Config,
  observe: Observe,
): Promise<Cache<Value>> {
  const clock = () => performance.now();
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
      const keyPrefix = by === "content" ? "clamgate:1:" : "clamgate:1:url:";
      return guarded(redisCacheOf(parse, { target: choice.target, keyPrefix, observe, clock }));
    }
  }
}

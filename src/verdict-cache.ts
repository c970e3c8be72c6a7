/** The verdict cache that VERDICT_CACHE asks for. */

import { guardedCache } from "./cache/guarded-cache.ts";
import { memoryCache } from "./cache/memory-cache.ts";
import { noCache } from "./cache/no-cache.ts";
import { redisCache } from "./cache/redis-cache.ts";
import { sqliteCache } from "./cache/sqlite-cache.ts";
import type { Config } from "./config/settings.ts";
import type { Observe, VerdictCache } from "./core/ports.ts";

/** A cache slower than this is passed by. */
const budgetMs = 50;

export function openCache(config: Config, observe: Observe): VerdictCache {
  const clock = () => performance.now();
  const guarded = (cache: VerdictCache) => guardedCache({ cache, budgetMs, observe, clock });
  const choice = config.VERDICT_CACHE;
  switch (choice.kind) {
    case "none":
      return noCache();
    case "memory":
      return memoryCache({ maxEntries: config.VERDICT_CACHE_MAX, clock });
    case "sqlite":
      return guarded(sqliteCache({ path: choice.path, maxEntries: config.VERDICT_CACHE_MAX, observe, clock, now: Date.now }));
    case "redis":
      return guarded(redisCache({ target: choice.target, observe, clock }));
  }
}

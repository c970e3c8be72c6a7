/** The caches that VERDICT_CACHE asks for: verdicts by content; for the download proxy those by address, and what was given of each. */

import { type Parse, parseVerdict } from "../cache/cacheable.ts";
import { guardedCacheOf } from "../cache/guarded-cache.ts";
import { guardedCopies } from "../cache/guarded-copies.ts";
import { memoryCacheOf } from "../cache/memory-cache.ts";
import { memoryCopies } from "../cache/memory-copies.ts";
import { memoryFront, parseDatedVerdict } from "../cache/memory-front.ts";
import { noCache } from "../cache/no-cache.ts";
import { fleetCacheOf } from "../cache/redis/fleet-cache.ts";
import { sqliteCopies } from "../cache/sqlite/copies.ts";
import { sqliteCacheOf } from "../cache/sqlite/store.ts";
import { parseUrlRecord, type UrlRecord, urlVerdictCache } from "../cache/url-verdicts.ts";
import type { Config } from "../config/settings.ts";
import type { Emit } from "../core/events.ts";
import type { GivenCopies } from "../core/given-copies.ts";
import type { Cache, CacheHealth, UrlVerdictCache, VerdictCache } from "../core/verdict-cache.ts";

export interface Caches {
  readonly verdicts: VerdictCache;
  readonly urlVerdicts: UrlVerdictCache;
  readonly givenCopies: GivenCopies;
  health(): CacheHealth;
  close(): Promise<void>;
}

/** A Redis slower than this is passed by. */
const budgetMs = 50;
const clock = () => performance.now();
/** Of given copies in memory, where no file or Redis has them all; and where one has. */
const ownAddresses = 100_000;
const addressesInFront = 10_000;

/** Verdicts in memory where a Redis has them all. */
const verdictsInFront = 10_000;

export async function openCaches(config: Config, emit: Emit): Promise<Caches> {
  const verdicts = await openVerdicts(config, emit);
  const byAddress = await openByAddress(config, emit);
  const urlVerdicts = urlVerdictCache(byAddress);
  const givenCopies = await openCopies(config, emit);
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

async function openVerdicts(config: Config, emit: Emit): Promise<VerdictCache> {
  const choice = config.VERDICT_CACHE;
  if (choice.kind !== "redis") return openOwn(parseVerdict, "", choice, config, emit);
  // Whoever has no redis does not wait for its client at every start.
  const { redisCacheOf } = await import("../cache/redis/cache.ts");
  const cache = redisCacheOf(parseDatedVerdict, { target: choice.target, keyPrefix: "clamgate:2:", emit, clock });
  const store = fleetCacheOf(parseDatedVerdict, { cache, maxWaitMs: config.QUEUE_TIMEOUT, budgetMs, emit, clock });
  const maxEntries = Math.min(config.VERDICT_CACHE_MAX, verdictsInFront);
  return memoryFront({ store, maxEntries, clock, now: Date.now });
}

/** Nothing is kept in front of a redis: what another gateway forgets of an address is forgotten at once. */
async function openByAddress(config: Config, emit: Emit): Promise<Cache<UrlRecord>> {
  const choice = config.VERDICT_CACHE;
  if (choice.kind !== "redis") return openOwn(parseUrlRecord, "-by-address", choice, config, emit);
  const { redisCacheOf } = await import("../cache/redis/cache.ts");
  const cache = redisCacheOf(parseUrlRecord, { target: choice.target, keyPrefix: "clamgate:2:url:", emit, clock });
  return guardedCacheOf(parseUrlRecord, { cache, budgetMs, emit, clock });
}

/** Of this gateway alone. Nothing here is waited for, so no guard can cut a wait short. */
function openOwn<Value>(
  parse: Parse<Value>,
  pathSuffix: string,
  choice: Exclude<Config["VERDICT_CACHE"], { readonly kind: "redis" }>,
  { VERDICT_CACHE_MAX: maxEntries }: Config,
  emit: Emit,
): Cache<Value> {
  switch (choice.kind) {
    case "none":
      return noCache();
    case "memory":
      return memoryCacheOf(parse, { maxEntries, clock });
    case "sqlite":
      return sqliteCacheOf(parse, { path: choice.path + pathSuffix, maxEntries, emit, clock, now: Date.now });
  }
}

/** Without a cache, too: which copies were given is no verdict that somebody may want to do without. */
async function openCopies({ VERDICT_CACHE: choice, VERDICT_CACHE_MAX: maxEntries }: Config, emit: Emit): Promise<GivenCopies> {
  const now = Date.now;
  const inFront = (store: GivenCopies) =>
    guardedCopies({ store, own: memoryCopies({ maxEntries: addressesInFront, now }), budgetMs, emit, clock });
  switch (choice.kind) {
    case "none":
    case "memory":
      return memoryCopies({ maxEntries: ownAddresses, now });
    case "sqlite":
      return inFront(sqliteCopies({ path: `${choice.path}-given`, maxEntries, emit, now }));
    case "redis": {
      const { redisCopies } = await import("../cache/redis/copies.ts");
      return inFront(redisCopies({ target: choice.target, keyPrefix: "clamgate:2:given:", emit, clock }));
    }
  }
}

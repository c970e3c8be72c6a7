/** The caches that VERDICT_CACHE asks for: verdicts by content; for the download proxy those by address, and what was given of each. */

import { join } from "node:path";
import { type Parse, parseUrlRecord, parseVerdict } from "../cache/cacheable.ts";
import { copiesJournal } from "../cache/copies-journal.ts";
import { memoryCopies } from "../cache/memory-copies.ts";
import {
  type LocalCache,
  memoryFront,
  noCache,
  parseDatedVerdict,
  sharedUrlVerdicts,
  sharedVerdicts,
  urlVerdicts,
} from "../cache/memory-front.ts";
import { sqliteQuotas } from "../cache/sqlite/quotas.ts";
import { SqliteStore } from "../cache/sqlite/store.ts";
import type { Config } from "../config/settings.ts";
import type { Emit } from "../core/events.ts";
import type { GivenCopies } from "../core/given-copies.ts";
import type { QuotaStore } from "../core/quota-store.ts";
import type { CacheHealth, UrlVerdictCache, VerdictCache } from "../core/verdict-cache.ts";

export interface Caches {
  readonly verdicts: VerdictCache;
  readonly urlVerdicts: UrlVerdictCache;
  readonly givenCopies: GivenCopies;
  health(): CacheHealth;
  close(): Promise<void>;
}

const clock = () => performance.now();
const now = Date.now;
/** Addresses of given copies in memory. */
const maxAddresses = 100_000;
/** Values in memory where a file or Redis has them all. */
const maxInFront = 10_000;

/** For clients that have one. */
export async function openQuotas({ VERDICT_CACHE: choice, STATE_DIRECTORY: state }: Config, emit: Emit): Promise<QuotaStore> {
  if (choice.kind !== "redis") return sqliteQuotas({ path: join(state, "quotas.sqlite"), emit, now });
  const { redisQuotas } = await import("../cache/redis/quotas.ts");
  return redisQuotas({ target: choice.target, keyPrefix: "clamgate:2:quota:", emit, clock, now });
}

type EachCache = Pick<Caches, "verdicts" | "urlVerdicts" | "givenCopies">;
type Choice = Config["VERDICT_CACHE"];

export async function openCaches(config: Config, emit: Emit): Promise<Caches> {
  const choice = config.VERDICT_CACHE;
  const caches = choice.kind === "redis" ? await openShared(choice, config, emit) : openOwn(choice, config, emit);
  const all = [caches.verdicts, caches.urlVerdicts, caches.givenCopies];
  return {
    ...caches,
    health: () => (all.some((cache) => cache.health() === "degraded") ? "degraded" : "ok"),
    async close() {
      await Promise.all(all.map((cache) => cache.close()));
    },
  };
}

/** Of this gateway alone, or of several on one machine. */
function openOwn(
  choice: Exclude<Choice, { readonly kind: "redis" }>,
  { VERDICT_CACHE_MAX: maxEntries }: Config,
  emit: Emit,
): EachCache {
  function open<Value>(parse: Parse<Value>, suffix: string): LocalCache<Value> {
    switch (choice.kind) {
      case "none":
        return noCache;
      case "memory":
        return memoryFront(parse, { store: null, maxEntries, clock, now });
      case "sqlite": {
        const store = new SqliteStore(parse, { path: choice.path + suffix, maxEntries, emit, clock, now });
        return memoryFront(parse, { store, maxEntries: maxInFront, clock, now });
      }
    }
  }
  const maxKept = Math.min(maxEntries, maxAddresses);
  return {
    verdicts: open(parseVerdict, ""),
    urlVerdicts: urlVerdicts(open(parseUrlRecord, "-by-address")),
    // Without a cache, too: which copies were given is no verdict that somebody may want to do without.
    givenCopies:
      choice.kind === "sqlite"
        ? copiesJournal({ path: `${choice.path}-given`, maxEntries: maxKept, emit, now })
        : memoryCopies({ maxEntries: maxAddresses, now }),
  };
}

async function openShared({ target }: Choice & { readonly kind: "redis" }, config: Config, emit: Emit): Promise<EachCache> {
  // Whoever has no redis does not wait for its client at every start.
  const { redisCache } = await import("../cache/redis/cache.ts");
  const { redisCopies } = await import("../cache/redis/copies.ts");
  const { fleetCache } = await import("../cache/redis/fleet-cache.ts");
  const options = { target, emit, clock };
  const store = fleetCache({
    cache: redisCache(parseDatedVerdict, { ...options, keyPrefix: "clamgate:2:" }),
    maxWaitMs: config.QUEUE_TIMEOUT,
    emit,
    clock,
  });
  const memory = memoryFront(parseVerdict, {
    store: null,
    maxEntries: Math.min(config.VERDICT_CACHE_MAX, maxInFront),
    clock,
    now,
  });
  return {
    verdicts: sharedVerdicts({ memory, store, now }),
    urlVerdicts: sharedUrlVerdicts(redisCache(parseUrlRecord, { ...options, keyPrefix: "clamgate:2:url:" })),
    givenCopies: redisCopies({ ...options, keyPrefix: "clamgate:2:given:", now }),
  };
}

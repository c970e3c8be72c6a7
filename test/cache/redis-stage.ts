/** A cache on a live redis, with all that it emits. */

import { parseVerdict } from "../../src/cache/cacheable.ts";
import { type RedisCache, redisCache } from "../../src/cache/redis/cache.ts";
import type { RedisPlace, RedisTarget } from "../../src/cache/redis/target.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { coverage, type Verdict } from "../../src/core/verdict.ts";
import { untilTrue } from "../live/redis.ts";

export const key = { sha256: "ab".repeat(32), tag: "1.4.6-27000-0f3c" };
export const storedKey = `clamgate:2:${key.sha256}${key.tag}`;
/** What stands there for a value. */
export const stored = (value: unknown, format = 2) =>
  JSON.stringify({ format, logic: coverage, key: `${key.sha256}${key.tag}`, value });
export const clean: Verdict = { kind: "clean" };
export const infected: Verdict = { kind: "infected", signatures: ["Eicar-Test-Signature"] };

export type CacheFault = Extract<GatewayEvent, { kind: "cache-failed" }>;

export interface StagedCache extends AsyncDisposable {
  readonly cache: RedisCache<Verdict>;
  readonly events: readonly GatewayEvent[];
  faults(operation?: CacheFault["operation"]): readonly CacheFault[];
  /** What the log would show at its usual level. */
  logged(): readonly GatewayEvent[];
  untilOk(): Promise<void>;
  untilDegraded(): Promise<void>;
}

export interface StageOptions extends Partial<Omit<RedisTarget, "place">> {
  /** The gateway's is 50; what a busy machine takes is not the question of most tests. */
  readonly budgetMs?: number;
}

export function stageCache(place: RedisPlace, { budgetMs = 10_000, ...options }: StageOptions = {}): StagedCache {
  const events: GatewayEvent[] = [];
  const emit = (event: GatewayEvent) => void events.push(event);
  const clock = () => performance.now();
  const target = { place, username: null, password: null, database: 0, tls: null, ...options };
  const cache = redisCache(parseVerdict, { target, emit, clock, budgetMs });
  const faults = (operation?: CacheFault["operation"]) =>
    events.filter((event) => event.kind === "cache-failed" && (operation ?? event.operation) === event.operation) as CacheFault[];
  return {
    cache,
    events,
    faults,
    logged: () => events.filter((event) => event.kind !== "cache-failed" || !event.isRepeated),
    untilOk: () => untilTrue(() => cache.health() === "ok"),
    untilDegraded: () => untilTrue(() => cache.health() === "degraded"),
    [Symbol.asyncDispose]: () => cache.close(),
  };
}

/** Connected already. */
export async function connectedCache(place: RedisPlace, options?: StageOptions): Promise<StagedCache> {
  const staged = stageCache(place, options);
  await staged.untilOk();
  return staged;
}

export function standalone({ host, port }: { readonly host: string; readonly port: number }): RedisPlace {
  return { kind: "standalone", host, port };
}

/** A cache in a Map that a test may look into, fill, hold up and break. */

import type { Verdict } from "../../src/core/verdict.ts";
import type { VerdictCache, VerdictKey } from "../../src/core/verdict-cache.ts";

export interface FakeCache extends VerdictCache {
  /** By `sha256:tag`. */
  readonly entries: Map<string, Verdict>;
  readonly ttls: number[];
  gets: number;
  /** Runs before each operation; what it throws, the operation throws. */
  before: (operation: "get" | "set") => Promise<void> | void;
}

export function fakeCache(): FakeCache {
  const nameOf = ({ sha256, tag }: VerdictKey) => `${sha256}:${tag}`;
  const cache: FakeCache = {
    entries: new Map(),
    ttls: [],
    gets: 0,
    before: () => {},
    async get(key) {
      cache.gets += 1;
      await cache.before("get");
      return cache.entries.get(nameOf(key)) ?? null;
    },
    async set(key, verdict, ttlSeconds) {
      await cache.before("set");
      cache.entries.set(nameOf(key), verdict);
      cache.ttls.push(ttlSeconds);
    },
    async close() {},
  };
  return cache;
}

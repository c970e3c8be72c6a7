/** A cache in a Map that a test may look into and fill. */

import type { Verdict } from "../../src/core/verdict.ts";
import type { VerdictCache, VerdictKey } from "../../src/core/verdict-cache.ts";

export interface FakeCache extends VerdictCache {
  /** By `sha256:tag`. */
  readonly entries: Map<string, Verdict>;
  readonly ttls: number[];
  peeks: number;
}

export function fakeCache(): FakeCache {
  const nameOf = ({ sha256, tag }: VerdictKey) => `${sha256}:${tag}`;
  const cache: FakeCache = {
    entries: new Map(),
    ttls: [],
    peeks: 0,
    peek(key) {
      cache.peeks += 1;
      return cache.entries.get(nameOf(key)) ?? null;
    },
    set(key, verdict, ttlSeconds) {
      cache.entries.set(nameOf(key), verdict);
      cache.ttls.push(ttlSeconds);
    },
    health: () => "ok",
    async close() {},
  };
  return cache;
}

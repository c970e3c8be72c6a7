/** A cache of verdicts by address in a Map that a test may look into and fill. */

import type { UrlVerdict, UrlVerdictCache, UrlVerdictKey } from "../../src/core/verdict-cache.ts";

export interface FakeUrlCache extends UrlVerdictCache {
  /** By `address:tag`. */
  readonly entries: Map<string, UrlVerdict>;
  readonly ttls: number[];
  readonly deleted: string[];
}

export function fakeUrlCache(): FakeUrlCache {
  const nameOf = ({ address, tag }: UrlVerdictKey) => `${address}:${tag}`;
  const cache: FakeUrlCache = {
    entries: new Map(),
    ttls: [],
    deleted: [],
    peek: (key) => cache.entries.get(nameOf(key)) ?? null,
    set(key, value, ttlSeconds) {
      cache.entries.set(nameOf(key), value);
      cache.ttls.push(ttlSeconds);
    },
    delete(key) {
      cache.entries.delete(nameOf(key));
      cache.deleted.push(nameOf(key));
    },
    health: () => "ok",
    async close() {},
  };
  return cache;
}

/** A cache of verdicts by address in a Map that a test may look into, fill and break. */

import type { UrlVerdict, UrlVerdictCache, UrlVerdictKey } from "../../src/core/verdict-cache.ts";

export interface FakeUrlCache extends UrlVerdictCache {
  /** By `address:tag`. */
  readonly entries: Map<string, UrlVerdict>;
  readonly ttls: number[];
  readonly deleted: string[];
  /** Runs before each operation; what it throws, the operation throws. */
  before: (operation: "get" | "set" | "delete") => Promise<void> | void;
}

export function fakeUrlCache(): FakeUrlCache {
  const nameOf = ({ address, tag }: UrlVerdictKey) => `${address}:${tag}`;
  const cache: FakeUrlCache = {
    entries: new Map(),
    ttls: [],
    deleted: [],
    before: () => {},
    async get(key) {
      await cache.before("get");
      return cache.entries.get(nameOf(key)) ?? null;
    },
    async set(key, value, ttlSeconds) {
      await cache.before("set");
      cache.entries.set(nameOf(key), value);
      cache.ttls.push(ttlSeconds);
    },
    async delete(key) {
      await cache.before("delete");
      cache.entries.delete(nameOf(key));
      cache.deleted.push(nameOf(key));
    },
    async close() {},
  };
  return cache;
}

/** Verdicts in a Redis or Valkey, which several gateways share. While it is not there, all is a miss at once. */

import type { Cache, VerdictCache } from "../core/ports.ts";
import { admit, keyId, maxStoredLength, type Parse, parseStored, parseVerdict, storedText } from "./admission.ts";
import { RedisStore, type RedisStoreOptions } from "./redis-store.ts";

/**
 * Nothing is kept in front of redis: what another gateway stores or deletes counts with the next `get`. Expiry is redis's own; how much
 * it holds is for its `maxmemory` to say.
 */
export function redisCache(options: RedisStoreOptions): VerdictCache {
  return redisCacheOf(parseVerdict, options);
}

export function redisCacheOf<Value>(parse: Parse<Value>, options: RedisStoreOptions): Cache<Value> {
  const store = new RedisStore(options);
  return {
    async get(key) {
      const id = keyId(key);
      if (id === null) return null;
      // GET would take into memory whatever stands there, up to 512 MB.
      const text = await store.ask("get", ["GETRANGE", store.prefix + id, "0", String(maxStoredLength)]);
      if (text === undefined || text === "") return null;
      const value = parseStored(text, id, parse);
      if (value === null) store.fail("get", "a key holds nothing that belongs there");
      return value;
    },
    async set(key, value, ttlSeconds) {
      const admission = admit(key, value, ttlSeconds, parse);
      const seconds = Math.floor((admission?.ttlMs ?? 0) / 1000);
      const text = admission === null ? null : storedText(admission.id, admission.value);
      if (admission === null || text === null || seconds === 0) return;
      await store.ask("set", ["SET", store.prefix + admission.id, text, "EX", String(seconds)]);
    },
    health: () => store.health(),
    close: () => store.close(),
  };
}

/** Verdicts in a Redis or Valkey, which several gateways share. While it is not there, all is a miss at once. */

import type { VerdictCache } from "../../core/verdict-cache.ts";
import { admit, keyId, maxStoredLength, type Parse, parseStored, parseVerdict, storedText } from "../cacheable.ts";
import { type LeasingCache, leaseMs } from "./fleet-cache.ts";
import { RedisStore, type RedisStoreOptions } from "./store.ts";

/** A lease stands in the place of the value, which takes it over: no gateway ever sees neither of them between the two. */
const leasePrefix = "lease ";
const released = "lease released";
/** Longer than whoever waits pauses. */
const releasedMs = 1_000;

/** Needs no command that a cache does not need: a user may have been let do nothing else. */
const replaceScript = `
if redis.call('GETRANGE', KEYS[1], 0, ARGV[4]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`;

/**
 * Nothing is kept in front of redis: what another gateway stores or deletes counts with the next `get`. Expiry is redis's own; how much
 * it holds is for its `maxmemory` to say.
 */
export function redisCache(options: RedisStoreOptions): VerdictCache {
  return redisCacheOf(parseVerdict, options);
}

export function redisCacheOf<Value>(parse: Parse<Value>, options: RedisStoreOptions): LeasingCache<Value> {
  const store = new RedisStore(options);

  /** GET would take into memory whatever stands there, up to 512 MB. */
  const read = (id: string) => store.ask("get", ["GETRANGE", store.prefix + id, "0", String(maxStoredLength)]);

  function parseText(text: unknown, id: string): Value | null {
    const value = parseStored(text, id, parse);
    if (value === null) store.fail("get", "a key holds nothing that belongs there");
    return value;
  }

  /** Puts the text in the place of the token's lease. Undefined where redis does not say whether it was there. */
  async function replace(id: string, token: string, text: string, ms: number): Promise<unknown> {
    const given = [leasePrefix + token, text, String(ms), String(maxStoredLength)];
    return store.ask("set", ["EVAL", replaceScript, "1", store.prefix + id, ...given]);
  }

  return {
    async get(key) {
      const id = keyId(key);
      if (id === null) return null;
      const text = await read(id);
      return text === undefined || text === "" || isLease(text) ? null : parseText(text, id);
    },
    async set(key, value, ttlSeconds) {
      const admission = admit(key, value, ttlSeconds, parse);
      const seconds = Math.floor((admission?.ttlMs ?? 0) / 1000);
      const text = admission === null ? null : storedText(admission.id, admission.value);
      if (admission === null || text === null || seconds === 0) return;
      await store.ask("set", ["SET", store.prefix + admission.id, text, "EX", String(seconds)]);
    },
    /** Both commands go out together and are answered in their order: a miss costs one way to redis and back, as without leases. */
    async claim(key, token) {
      const id = keyId(key);
      if (id === null) return { kind: "failed" };
      const lease = leasePrefix + token;
      const claiming = store.ask("set", ["SET", store.prefix + id, lease, "NX", "PX", String(leaseMs)]);
      const [reply, text] = await Promise.all([claiming, read(id)]);
      if (reply === "OK" || text === lease) return { kind: "leased" };
      if (text === undefined || text === "") return { kind: "failed" };
      if (isLease(text)) return { kind: text === released ? "released" : "taken" };
      const value = parseText(text, id);
      return value === null ? { kind: "failed" } : { kind: "known", value };
    },
    async renew(key, token) {
      const id = keyId(key);
      return id !== null && (await replace(id, token, leasePrefix + token, leaseMs)) !== 0;
    },
    async release(key, token) {
      const id = keyId(key);
      if (id !== null) await replace(id, token, released, releasedMs);
    },
    health: () => store.health(),
    close: () => store.close(),
  };
}

function isLease(text: unknown): text is string {
  return typeof text === "string" && text.startsWith(leasePrefix);
}

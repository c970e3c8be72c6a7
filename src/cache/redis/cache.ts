/** Verdicts in a Redis or Valkey, which several gateways share. While it is not there, all is a miss at once. */

import type { CacheHealth, VerdictKey } from "../../core/verdict-cache.ts";
import { cacheable, keyId, maxStoredLength, type Parse, parseStored } from "../cacheable.ts";
import { RedisStore, type RedisStoreOptions } from "./store.ts";

/** Of each key there is a value, or a lease on finding it, or neither. None of its functions rejects. */
export interface RedisCache<Value> {
  get(key: VerdictKey): Promise<Value | null>;
  set(key: VerdictKey, value: Value, ttlSeconds: number): Promise<void>;
  /** The value; where nothing is known of the key, the lease goes to the token, which may have it already. */
  claim(key: VerdictKey, token: string): Promise<Claim<Value>>;
  /** Extends the lease. False where it is the token's no more, true where that is not known. */
  renew(key: VerdictKey, token: string): Promise<boolean>;
  /** Ends the lease, if it is still the token's; for a moment whoever claims is told so. */
  release(key: VerdictKey, token: string): Promise<void>;
  health(): CacheHealth;
  close(): Promise<void>;
}

export type Claim<Value> =
  | { readonly kind: "known"; readonly value: Value }
  | { readonly kind: "leased" }
  /** Another token has the lease. */
  | { readonly kind: "taken" }
  /** Another's lease was released. */
  | { readonly kind: "released" }
  /** No answer in time; the lease may have been granted all the same. */
  | { readonly kind: "late" }
  /** The store is away, or what stands there is nothing of ours. */
  | { readonly kind: "failed" };

/** A gateway that is killed holds the others up for so long; one that stands still for longer loses its lease. */
export const leaseMs = 3_000;
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
export function redisCache<Value>(parse: Parse<Value>, options: RedisStoreOptions): RedisCache<Value> {
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
      const entry = cacheable(key, value, ttlSeconds, parse);
      const seconds = Math.floor((entry?.ttlMs ?? 0) / 1000);
      if (entry === null || seconds === 0) return;
      await store.ask("set", ["SET", store.prefix + entry.id, entry.text, "EX", String(seconds)]);
    },
    /** Both commands go out together and are answered in their order: a miss costs one way to redis and back, as without leases. */
    async claim(key, token) {
      const id = keyId(key);
      if (id === null) return { kind: "failed" };
      const lease = leasePrefix + token;
      const claiming = store.ask("set", ["SET", store.prefix + id, lease, "NX", "PX", String(leaseMs)]);
      const [reply, text] = await Promise.all([claiming, read(id)]);
      if (reply === "OK" || text === lease) return { kind: "leased" };
      // One that refuses, or is gone, is degraded.
      if (reply === undefined && text === undefined && store.health() === "ok") return { kind: "late" };
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

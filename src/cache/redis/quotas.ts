/** What clients have used of their quotas, in a Redis or Valkey that several gateways share. While it is not there, nobody knows. */

import type { QuotaCharge, QuotaStore } from "../../core/quota-store.ts";
import { RedisStore, type RedisStoreOptions } from "./store.ts";

/** Reading and adding in one step, and by no command that a cache does not need. What stands there and is no sum is left alone. */
const chargeScript = `
local text, bytes, max = redis.call('GETRANGE', KEYS[1], 0, 20), tonumber(ARGV[1]), tonumber(ARGV[2])
local used = text == '' and 0 or tonumber(text)
if used == nil then return redis.error_reply('a key holds nothing that belongs there') end
if max >= 0 and used > 0 and used + bytes > max then return 'full ' .. string.format('%.0f', used) end
used = math.max(0, used + bytes)
redis.call('SET', KEYS[1], string.format('%.0f', used), 'PX', ARGV[3])
return 'charged ' .. string.format('%.0f', used)`;

/** A correction may come after the window has ended, and clocks of gateways differ. */
const lateMs = 60 * 60_000;

export interface RedisQuotasOptions extends RedisStoreOptions {
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

export function redisQuotas({ now, ...options }: RedisQuotasOptions): QuotaStore {
  const store = new RedisStore(options);
  return {
    async charge({ client, windowMs, startsAt }, bytes, max) {
      const key = `${store.prefix}${windowMs}:${startsAt}:${client}`;
      const ttlMs = Math.max(0, startsAt + windowMs - now()) + lateMs;
      const given = [String(bytes), String(Number.isFinite(max) ? max : -1), String(Math.ceil(ttlMs))];
      return chargeIn(await store.ask("set", ["EVAL", chargeScript, "1", key, ...given]));
    },
    close: () => store.close(),
  };
}

function chargeIn(reply: unknown): QuotaCharge | null {
  const [, word, digits] = typeof reply === "string" ? (/^(charged|full) (\d+)$/.exec(reply) ?? []) : [];
  return word === undefined ? null : { isCharged: word === "charged", used: Number(digits) };
}

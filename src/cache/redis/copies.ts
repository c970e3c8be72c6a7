/** Given copies in a Redis or Valkey, which several gateways share, and in memory: what either of them knows counts. */

import { type GivenCopies, givenAgainSeconds, givenSeconds, type KnownCopies } from "../../core/given-copies.ts";
import { maxStoredLength } from "../cacheable.ts";
import { bothKnown, isRecord, knownCopies, lineOf, maxCopies, recordHead } from "../given-record.ts";
import { CopiesMemory } from "../memory-copies.ts";
import { RedisStore, type RedisStoreOptions } from "./store.ts";

/**
 * `added` of given-record.ts where all gateways share it, by redis's own clock: reading and adding must be one step, or two gateways could
 * each give a part of a copy of its own. What stands there and is no record is left alone, and no copy is known.
 */
const givenScript = `
local head, record = ARGV[2], redis.call('GETRANGE', KEYS[1], 0, ARGV[5])
if record == '' then record = head end
local now, known, lostAt, read = tonumber(redis.call('TIME')[1]), {}, -1, #head
for at, line in record:gmatch('(%d+) ([^\\n]+)\\n') do
  read = read + #at + #line + 2
  at = tonumber(at)
  if now - at < tonumber(ARGV[3]) then
    if line == '*' then lostAt = at
    elseif line ~= ARGV[1] then known[#known + 1] = { at, line } end
  end
end
if record:sub(1, #head) ~= head or read ~= #record or #record > tonumber(ARGV[5]) then return redis.error_reply('a key holds nothing that belongs there') end
while #known >= tonumber(ARGV[4]) do lostAt = math.max(lostAt, table.remove(known, 1)[1]) end
known[#known + 1] = { now, ARGV[1] }
if lostAt >= 0 then table.insert(known, 1, { lostAt, '*' }) end
local text = head
for _, one in ipairs(known) do text = text .. string.format('%.0f', one[1]) .. ' ' .. one[2] .. '\\n' end
redis.call('SET', KEYS[1], text, 'EX', ARGV[3])
return text`;

/** Addresses in memory. */
const maxInMemory = 10_000;

export interface RedisCopiesOptions extends RedisStoreOptions {
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

/** Needs GETRANGE, SET, EVAL and TIME, and a Redis of version 5 or newer. */
export function redisCopies({ now, ...options }: RedisCopiesOptions): GivenCopies {
  const store = new RedisStore(options);
  /** What was given while redis was away is known here alone. */
  const memory = new CopiesMemory(maxInMemory);
  /** Until then there may be copies that redis was not told of, and of which memory, being small, knows no more. */
  let untoldUntil = Number.NEGATIVE_INFINITY;

  async function tell(address: string, line: string, at: number): Promise<KnownCopies | null> {
    const given = [line, recordHead, String(givenSeconds), String(maxCopies), String(maxStoredLength)];
    const text = await store.ask("set", ["EVAL", givenScript, "1", store.prefix + address, ...given]);
    if (text === undefined) untoldUntil = at + givenSeconds;
    else memory.add(address, line, at);
    const here = memory.known(address, at);
    if (text !== undefined && !isRecord(text)) store.fail("get", "a key holds nothing that belongs there");
    if (!isRecord(text) || (here === null && at < untoldUntil)) return null;
    const there = knownCopies(text);
    return there === null || here === null ? there : bothKnown(here, there);
  }

  return {
    give(address, copy, isWhole = false) {
      const line = lineOf(copy);
      const at = Math.floor(now() / 1000);
      if (isWhole && memory.isFresh(address, line, at)) return null;
      // Until redis was told it is not fresh: no byte goes out before that.
      memory.add(address, line, at - givenAgainSeconds);
      return tell(address, line, at);
    },
    health: () => store.health(),
    close: () => store.close(),
  };
}

/** Given copies in a Redis or Valkey, which several gateways share. */

import { type GivenCopies, givenSeconds } from "../../core/given-copies.ts";
import { maxStoredLength } from "../cacheable.ts";
import { isRecord, knownCopies, lineOf, maxCopies, recordHead } from "../given-record.ts";
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

/** Needs GETRANGE, SET, EVAL and TIME, and a Redis of version 5 or newer. */
export function redisCopies(options: RedisStoreOptions): GivenCopies {
  const store = new RedisStore(options);
  return {
    async give(address, copy) {
      const given = [lineOf(copy), recordHead, String(givenSeconds), String(maxCopies), String(maxStoredLength)];
      const text = await store.ask("set", ["EVAL", givenScript, "1", store.prefix + address, ...given]);
      if (isRecord(text)) return knownCopies(text);
      if (text !== undefined) store.fail("get", "a key holds nothing that belongs there");
      return null;
    },
    health: () => store.health(),
    close: () => store.close(),
  };
}

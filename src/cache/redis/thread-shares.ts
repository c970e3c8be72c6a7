/** The threads of given clamds, divided among the gateways of one Redis: each holds a share, asks for it anew every second, and gets more once others have let go. */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { systemTimers } from "../timers.ts";
import { RedisStore, type RedisStoreOptions } from "./store.ts";

export interface ThreadSharesOptions extends RedisStoreOptions {
  /** Of each clamd. */
  readonly threads: number;
  /** The share where redis does not answer and never has. */
  readonly fallback: number;
}

export interface ThreadShares {
  /** Asks for a share at once, and then for as long as it is held. */
  take(wish: ShareWish): ThreadShare;
  /** Gives all shares back. */
  close(): Promise<void>;
}

export interface ShareWish {
  /** The same for all gateways that use this clamd, and for no other clamd. */
  readonly clamd: string;
  /** How many of its threads are in use now, and how many would be if they were free. */
  readonly demand: () => { readonly used: number; readonly wanted: number };
  readonly onChange: () => void;
}

export interface ThreadShare {
  /** Threads that may be used now. While redis does not answer it stays as it was. */
  size(): number;
  /** Gives it back, for the others to take. */
  release(): Promise<void>;
}

const renewMs = 1_000;
/** While others have to let go, or wait for us to. */
const hurryMs = 250;
/** A share that is not renewed for so long is free. */
const lapseMs = 5_000;
/** Before anything else is done with a clamd, redis is given so long to answer. */
const patienceMs = 1_000;
const retryMs = 50;
/** Seconds for which a wish is upheld: uploads come in bursts. */
const wishesKept = 5;
const goodbyeMs = 200;

/**
 * A sorted set for each clamd. A member says who it is, what it wants, what it may be using and until when it must not grow; its score is
 * when it lapses. Everybody gets one thread in turn, up to what each wants; then what is left, the smallest share first.
 *
 * What has lapsed is not held against anybody. Who comes back, or finds the set empty because redis has lost it, takes no more than before
 * until the others have come back, too.
 */
const shareScript = `
local id, want, held, threads, ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now, free, growsAt = time[1] * 1000 + math.floor(time[2] / 1000), threads, nil
local mine = { id = id, want = want, share = 0 }
local all = { mine }
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
for _, text in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local other, wants, holds, at = text:match('^(%S+) (%d+) (%d+) (%d+)$')
  if other == id then
    growsAt = tonumber(at)
    redis.call('ZREM', KEYS[1], text)
  elseif other then
    free = free - tonumber(holds)
    all[#all + 1] = { id = other, want = tonumber(wants), share = 0 }
  end
end
if ms == 0 then return 0 end
table.sort(all, function(one, other) return one.id < other.id end)
local left = threads
for _, isWanted in ipairs({ true, false }) do
  for level = 1, threads do
    for _, one in ipairs(all) do
      if left > 0 and one.share < level and (one.share < one.want or not isWanted) then
        one.share, left = one.share + 1, left - 1
      end
    end
  end
end
local share = mine.share
if #all > threads then share = 1
elseif share > held then share = math.max(held, math.min(share, free)) end
growsAt = growsAt or (held > 0 and now + ms or 0)
if now < growsAt then share = math.min(share, held) end
local member = string.format('%s %d %d %.0f', id, want, math.max(share, held), growsAt)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ms), member)
redis.call('PEXPIRE', KEYS[1], ms)
return share`;

/** Needs EVAL, TIME, ZRANGE, ZADD, ZREM, ZREMRANGEBYSCORE and PEXPIRE, and a Redis of version 5 or newer. */
export function redisThreadShares(options: ThreadSharesOptions): ThreadShares {
  const { threads, fallback, clock, timers = systemTimers } = options;
  const store = new RedisStore({ ...options, budgetMs: patienceMs });
  const id = randomUUID();
  const shares = new Set<ThreadShare>();

  function take({ clamd, demand, onChange }: ShareWish): ThreadShare {
    const takenAt = clock();
    let answered: number | null = null;
    let toldSize = 0;
    let isReleased = false;
    let wishes: readonly number[] = [];
    let cancel = () => {};

    const isEarly = () => answered === null && clock() - takenAt < patienceMs;
    const size = () => answered ?? (isEarly() ? 0 : fallback);
    const evaluate = (want: number, held: number, ms: number) =>
      store.ask("set", ["EVAL", shareScript, "1", store.prefix + clamd, id, ...[want, held, threads, ms].map(String)]);

    async function renew(): Promise<void> {
      const { used, wanted } = demand();
      wishes = [...wishes, wanted].slice(-wishesKept);
      const want = Math.min(Math.max(1, ...wishes), threads);
      const before = size();
      // What still runs is not let go yet.
      const reply = await evaluate(want, Math.max(before, used), lapseMs);
      if (isReleased) return;
      if (typeof reply === "number" && reply >= 0 && reply <= threads) answered = reply;
      const now = size();
      const pauseMs = isEarly() ? retryMs : now === 0 || now < before ? hurryMs : renewMs;
      cancel = timers.after(pauseMs, () => void renew());
      if (now === toldSize) return;
      toldSize = now;
      onChange();
    }

    const share: ThreadShare = {
      size,
      async release() {
        if (isReleased) return;
        isReleased = true;
        cancel();
        shares.delete(share);
        await evaluate(1, 0, 0);
      },
    };
    shares.add(share);
    void renew();
    return share;
  }

  return {
    take,
    async close() {
      const released = Promise.all([...shares].map((share) => share.release()));
      await Promise.race([released, delay(goodbyeMs, undefined, { ref: false })]);
      await store.close();
    },
  };
}

/** A clamd's threads, divided by a real redis: never more in all than there are, and soon all of them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { redisThreadShares, type ThreadShare } from "../../../src/cache/redis/thread-shares.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { startRelay } from "../../fault/harness/relay.ts";
import { type LiveRedis, startRedis, untilTrue } from "../../live/redis.ts";
import { standalone } from "../redis-stage.ts";

const options = { timeout: 60_000 };
const threads = 8;
const prefix = "clamgate:2:threads:";
/** A killed one's threads are free after 5 s, and taken at the next look of the others. */
const takenOverMs = 6_500;

interface Gateway {
  readonly share: ThreadShare;
  readonly events: readonly GatewayEvent[];
  /** As `ShareWish.demand`. */
  use(demand: { readonly used: number; readonly wanted: number }): void;
  /** How often it was told of a change. */
  changes(): number;
  stop(): Promise<void>;
}

/** Gateways on a redis of their own: the tests mostly wait for it, and do so beside each other. */
interface Fleet extends AsyncDisposable {
  readonly redis: LiveRedis;
  open(options?: GatewayOptions): Gateway;
  sizes(): readonly number[];
  /** Resolves when they have so many, the smallest share first. */
  divided(...wanted: readonly number[]): Promise<void>;
  /** From now on they are nobody's that counts. */
  forget(gateway: Gateway): void;
  /** Gives back what all of them hold. */
  stop(): Promise<void>;
  /** No more than there are, at every look so far. */
  assertNeverTooMany(): void;
  /** Forgets every look so far. */
  lookAnew(): void;
}

interface GatewayOptions {
  readonly port?: number;
  readonly clamd?: string;
  /** None unless it is asked about: a redis that a busy machine makes slow is not the question then. */
  readonly fallback?: number;
  /** The gateway's time passes so many times slower. */
  readonly slowness?: number;
  readonly user?: { readonly username: string; readonly password: string };
}

describe("redisThreadShares", { concurrency: 4 }, () => {
  test("gives the first one all there is, and two, four, and one again equal shares", options, async (context) => {
    await using fleet = await openFleet();
    const { open, divided, assertNeverTooMany } = fleet;
    const first = open();
    await divided(8);
    const second = open();
    await divided(4, 4);
    let isFull = true;
    const watch = setInterval(() => {
      isFull &&= [first, second].every(({ share }) => share.size() >= 1);
    }, 10);
    const startedAt = performance.now();
    const leaving = [second, open(), open()];
    await divided(2, 2, 2, 2);
    const joinedMs = performance.now() - startedAt;
    clearInterval(watch);
    assert.ok(isFull, "those who were there go on while others join");
    const leftAt = performance.now();
    await Promise.all(leaving.map((gateway) => gateway.stop()));
    await divided(8);
    const leftMs = performance.now() - leftAt;
    context.diagnostic(`shared by four after ${Math.round(joinedMs)} ms, one's again after ${Math.round(leftMs)} ms`);
    assert.ok(joinedMs < 5_000 && leftMs < 3_000, `${joinedMs} ms, ${leftMs} ms`);
    assertNeverTooMany();
  });

  test("gives three of them what does not divide, and tells each of its changes", options, async () => {
    await using fleet = await openFleet();
    const { open, divided, assertNeverTooMany } = fleet;
    const [one] = [open(), open(), open()];
    await divided(2, 3, 3);
    assert.ok(one.changes() >= 1);
    assertNeverTooMany();
  });

  test("leaves to others what one does not want, and gives it back when it is wanted", options, async () => {
    await using fleet = await openFleet();
    const { open, divided, assertNeverTooMany } = fleet;
    const [busy, idle] = [open(), open()];
    busy.use({ used: 4, wanted: 20 });
    await divided(1, 7);
    assert.equal(idle.share.size(), 1);
    busy.use({ used: 7, wanted: 20 });
    idle.use({ used: 1, wanted: 20 });
    // What still runs is not let go, however often the idle one asks for it.
    await untilTrue(() => busy.share.size() === 4);
    await delay(1_500);
    assert.deepEqual([busy.share.size(), idle.share.size()], [4, 1]);
    busy.use({ used: 4, wanted: 20 });
    await divided(4, 4);
    assertNeverTooMany();
  });

  test("frees a killed one's threads within six seconds", options, async (context) => {
    await using fleet = await openFleet();
    const { redis, open, divided, forget } = fleet;
    await using relay = await startRelay({ to: { host: "127.0.0.1", port: redis.port } });
    open();
    const killed = open({ port: relay.port });
    await divided(4, 4);
    relay.setFault(() => ({ kind: "refuse" }));
    relay.resetAll();
    const killedAt = performance.now();
    forget(killed);
    await divided(8);
    const tookMs = performance.now() - killedAt;
    context.diagnostic(`after ${Math.round(tookMs)} ms`);
    assert.ok(tookMs > 3_500 && tookMs < takenOverMs, `${tookMs} ms`);
    await killed.stop();
  });

  test("gives each one thread where there are more gateways than threads", options, async () => {
    await using fleet = await openFleet();
    const { open, divided } = fleet;
    for (let count = 0; count < threads + 2; count += 1) open();
    await divided(...Array.from({ length: threads + 2 }, () => 1));
  });

  test("divides each clamd for itself", options, async () => {
    await using fleet = await openFleet();
    const { open, divided } = fleet;
    open({ clamd: "one" });
    open({ clamd: "other" });
    await divided(8, 8);
  });

  test("is the fallback where redis is not there, and never was; and is divided once it is", options, async () => {
    await using fleet = await openFleet();
    const { redis, open, sizes, divided, lookAnew, assertNeverTooMany } = fleet;
    await redis.kill();
    let isLate = false;
    // Of the same event loop: a machine that stands still holds up both.
    const late = setTimeout(() => {
      isLate = true;
    }, 2_500);
    const [one, other] = [open({ fallback: 8 }), open({ fallback: 4 })];
    assert.deepEqual(sizes(), [0, 0], "redis is given time to answer");
    await untilTrue(() => one.share.size() === 8 && other.share.size() === 4);
    clearTimeout(late);
    assert.ok(!isLate, "after a second without an answer");
    await untilTrue(() => one.changes() === 1);
    await redis.restart();
    await divided(4, 4);
    lookAnew();
    await delay(2_000);
    assertNeverTooMany();
  });

  for (const [what, lose, find] of [
    ["killed and started empty", ({ redis }: Fleet) => redis.kill(), ({ redis }: Fleet) => redis.restart()],
    ["frozen and thawed", ({ redis }: Fleet) => redis.freeze(), ({ redis }: Fleet) => redis.thaw()],
  ] as const) {
    test(`stays as it was while redis is ${what}, and after`, options, async () => {
      await using fleet = await openFleet();
      const { redis, open, sizes, divided, assertNeverTooMany } = fleet;
      open();
      open();
      await divided(4, 4);
      await lose(fleet);
      await delay(7_000);
      assert.deepEqual(sizes(), [4, 4]);
      await find(fleet);
      await untilTrue(async () => (await redis.command("ZCARD", `${prefix}clamd`)) === 2);
      assert.deepEqual(sizes(), [4, 4]);
      open();
      await divided(2, 3, 3);
      assertNeverTooMany();
    });
  }

  test("needs no more commands than SECURITY.md names", options, async () => {
    await using fleet = await openFleet();
    const { redis, open, divided, stop } = fleet;
    const commands = ["+eval", "+time", "+zrange", "+zadd", "+zrem", "+zremrangebyscore", "+pexpire", "+getrange"];
    await redis.command("ACL", "SETUSER", "gate", "on", ">secret", "~clamgate:2:*", ...commands);
    open({ user: { username: "gate", password: "secret" } });
    open({ user: { username: "gate", password: "secret" } });
    await divided(4, 4);
    await redis.command("ACL", "SETUSER", "old", "on", ">secret", "~clamgate:2:*", "+getrange", "+set", "+eval", "+time");
    await stop();
    const refused = open({ user: { username: "old", password: "secret" }, fallback: 3 });
    await divided(3);
    await untilTrue(() => refused.events.some((event) => event.kind === "cache-failed" && /script/.test(event.detail)));
  });

  test("leaves nothing in redis once all have stopped", options, async () => {
    await using fleet = await openFleet();
    const { redis, open, divided, stop } = fleet;
    open();
    open();
    await divided(4, 4);
    const left = Number(await redis.command("PTTL", `${prefix}clamd`));
    assert.ok(left > 0 && left <= 5_000, `${left} ms`);
    await stop();
    assert.equal(await redis.command("DBSIZE"), 0);
  });

  test("counts what does not belong there as nobody's", options, async () => {
    await using fleet = await openFleet();
    const { redis, open, divided } = fleet;
    await redis.command("ZADD", `${prefix}clamd`, "inf", "garbage");
    open();
    await divided(8);
    await redis.command("DEL", `${prefix}clamd`);
    await redis.command("SET", `${prefix}clamd`, "text");
    const other = open({ fallback: 2 });
    await untilTrue(() => other.share.size() === 2);
  });
});

/** Not beside the others: here it counts how long an answer takes. */
describe("redisThreadShares of a slow redis", () => {
  test("are kept, and are divided all the same", options, async () => {
    await using fleet = await openFleet();
    const { redis, open, divided, assertNeverTooMany } = fleet;
    // A handshake and a question take four times that; after two seconds without an answer each would take its fallback, which is all there is.
    const late = { kind: "late", ms: 200 } as const;
    await using relay = await startRelay({ to: { host: "127.0.0.1", port: redis.port }, fault: () => late });
    const slow = { fallback: threads, slowness: 2 };
    open({ port: relay.port, ...slow });
    await divided(8);
    open({ port: relay.port, ...slow });
    open(slow);
    await divided(2, 3, 3);
    assertNeverTooMany();
  });
});

async function openFleet(): Promise<Fleet> {
  const redis = await startRedis();
  let opened: readonly Gateway[] = [];
  /** The most that all held at once, of all looks. */
  let most = 0;
  const look = setInterval(() => {
    most = Math.max(most, sum(opened));
  }, 10);
  const sizes = () => opened.map(({ share }) => share.size());
  const forget = (gateway: Gateway) => {
    opened = opened.filter((one) => one !== gateway);
  };

  function open({ port = redis.port, clamd = "clamd", fallback = 0, slowness = 1, user }: GatewayOptions = {}): Gateway {
    const events: GatewayEvent[] = [];
    const place = standalone({ host: "127.0.0.1", port });
    let demand = { used: 0, wanted: 0 };
    let changes = 0;
    const shares = redisThreadShares({
      target: { place, username: null, password: null, database: 0, tls: null, ...user },
      keyPrefix: prefix,
      emit: (event) => void events.push(event),
      clock: () => performance.now() / slowness,
      threads,
      fallback,
    });
    const onChange = () => {
      changes += 1;
    };
    const share = shares.take({ clamd, demand: () => demand, onChange });
    const gateway: Gateway = {
      share,
      events,
      use: (next) => {
        demand = next;
      },
      changes: () => changes,
      async stop() {
        forget(gateway);
        await shares.close();
      },
    };
    opened = [...opened, gateway];
    return gateway;
  }

  const stop = async () => {
    await Promise.all(opened.map((gateway) => gateway.stop()));
  };
  return {
    redis,
    open,
    sizes,
    stop,
    divided: (...wanted) => untilTrue(() => String(sizes().toSorted()) === String(wanted)),
    forget,
    assertNeverTooMany() {
      assert.ok(most <= threads, `${most} of ${threads} threads were held at once`);
    },
    lookAnew() {
      most = 0;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(look);
      await stop();
      await redis[Symbol.asyncDispose]();
    },
  };
}

function sum(gateways: readonly Gateway[]): number {
  return gateways.reduce((total, { share }) => total + share.size(), 0);
}

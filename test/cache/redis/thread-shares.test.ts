/** A clamd's threads, divided by a real redis: never more in all than there are, and soon all of them. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
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

interface GatewayOptions {
  readonly port?: number;
  readonly clamd?: string;
  readonly fallback?: number;
  readonly user?: { readonly username: string; readonly password: string };
}

describe("redisThreadShares", () => {
  let redis: LiveRedis;
  let opened: Gateway[];
  /** The most that all held at once, of all looks. */
  let most: number;
  let look: NodeJS.Timeout;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis[Symbol.asyncDispose]());
  beforeEach(async () => {
    if (redis.isAlive()) redis.thaw();
    else await redis.restart();
    await redis.command("FLUSHALL");
    opened = [];
    most = 0;
    look = setInterval(() => {
      most = Math.max(most, sum(opened));
    }, 10);
  });
  afterEach(async () => {
    clearInterval(look);
    await Promise.all(opened.map((gateway) => gateway.stop()));
  });

  function open({ port = redis.port, clamd = "clamd", fallback = threads, user }: GatewayOptions = {}): Gateway {
    const events: GatewayEvent[] = [];
    const place = standalone({ host: "127.0.0.1", port });
    let demand = { used: 0, wanted: 0 };
    let changes = 0;
    const shares = redisThreadShares({
      target: { place, username: null, password: null, database: 0, tls: null, ...user },
      keyPrefix: prefix,
      emit: (event) => void events.push(event),
      clock: () => performance.now(),
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
        opened = opened.filter((one) => one !== gateway);
        await shares.close();
      },
    };
    opened.push(gateway);
    return gateway;
  }

  const sizes = () => opened.map(({ share }) => share.size());
  const divided = (...wanted: readonly number[]) => untilTrue(() => String(sizes().toSorted()) === String(wanted));

  /** No more than there are, at every look so far. */
  function assertNeverTooMany(): void {
    assert.ok(most <= threads, `${most} of ${threads} threads were held at once`);
  }

  test("gives the first one all there is, and two, four, and one again equal shares", options, async (context) => {
    open();
    await divided(8);
    open();
    await divided(4, 4);
    let isFull = true;
    const watch = setInterval(() => {
      isFull &&= opened.slice(0, 2).every(({ share }) => share.size() >= 1);
    }, 10);
    const startedAt = performance.now();
    open();
    open();
    await divided(2, 2, 2, 2);
    const joinedMs = performance.now() - startedAt;
    clearInterval(watch);
    assert.ok(isFull, "those who were there go on while others join");
    const [, ...leaving] = opened;
    const leftAt = performance.now();
    await Promise.all(leaving.map((gateway) => gateway.stop()));
    await divided(8);
    const leftMs = performance.now() - leftAt;
    context.diagnostic(`shared by four after ${Math.round(joinedMs)} ms, one's again after ${Math.round(leftMs)} ms`);
    assert.ok(joinedMs < 5_000 && leftMs < 3_000, `${joinedMs} ms, ${leftMs} ms`);
    assertNeverTooMany();
  });

  test("gives three of them what does not divide, and tells each of its changes", options, async () => {
    const [one] = [open(), open(), open()];
    await divided(2, 3, 3);
    assert.ok(one.changes() >= 1);
    assertNeverTooMany();
  });

  test("leaves to others what one does not want, and gives it back when it is wanted", options, async () => {
    const [busy, idle] = [open(), open()];
    busy.use({ used: 4, wanted: 20 });
    await divided(1, 7);
    assert.equal(idle.share.size(), 1);
    busy.use({ used: 7, wanted: 20 });
    idle.use({ used: 1, wanted: 20 });
    // What still runs is not let go.
    await delay(2_500);
    assert.deepEqual([busy.share.size(), idle.share.size()], [4, 1]);
    busy.use({ used: 4, wanted: 20 });
    await divided(4, 4);
    assertNeverTooMany();
  });

  test("frees a killed one's threads within six seconds", options, async (context) => {
    await using relay = await startRelay({ to: { host: "127.0.0.1", port: redis.port } });
    open();
    const killed = open({ port: relay.port });
    await divided(4, 4);
    relay.setFault(() => ({ kind: "refuse" }));
    relay.resetAll();
    const killedAt = performance.now();
    opened = opened.filter((one) => one !== killed);
    await divided(8);
    const tookMs = performance.now() - killedAt;
    context.diagnostic(`after ${Math.round(tookMs)} ms`);
    assert.ok(tookMs > 3_500 && tookMs < takenOverMs, `${tookMs} ms`);
    await killed.stop();
  });

  test("gives each one thread where there are more gateways than threads", options, async () => {
    for (let count = 0; count < threads + 2; count += 1) open();
    await divided(...Array.from({ length: threads + 2 }, () => 1));
  });

  test("divides each clamd for itself", options, async () => {
    open({ clamd: "one" });
    open({ clamd: "other" });
    await divided(8, 8);
  });

  test("is the fallback where redis is not there, and never was; and is divided once it is", options, async () => {
    await redis.kill();
    const startedAt = performance.now();
    const [one, other] = [open({ fallback: 8 }), open({ fallback: 4 })];
    assert.deepEqual(sizes(), [0, 0], "redis is given time to answer");
    await untilTrue(() => one.share.size() === 8 && other.share.size() === 4);
    assert.ok(performance.now() - startedAt < 2_500);
    await untilTrue(() => one.changes() === 1);
    await redis.restart();
    await divided(4, 4);
    most = 0;
    await delay(2_000);
    assertNeverTooMany();
  });

  for (const [what, lose, find] of [
    ["killed and started empty", () => redis.kill(), () => redis.restart()],
    ["frozen and thawed", () => redis.freeze(), () => redis.thaw()],
  ] as const) {
    test(`stays as it was while redis is ${what}, and after`, options, async () => {
      open();
      open();
      await divided(4, 4);
      await lose();
      await delay(7_000);
      assert.deepEqual(sizes(), [4, 4]);
      await find();
      await untilTrue(async () => (await redis.command("ZCARD", `${prefix}clamd`)) === 2);
      assert.deepEqual(sizes(), [4, 4]);
      open();
      await divided(2, 3, 3);
      assertNeverTooMany();
    });
  }

  test("is kept over a redis that is slow, and is divided all the same", options, async () => {
    // A handshake and a question take four times that; after a second without an answer each would take its fallback, which is all there is.
    const late = { kind: "late", ms: 100 } as const;
    await using relay = await startRelay({ to: { host: "127.0.0.1", port: redis.port }, fault: () => late });
    open({ port: relay.port });
    await divided(8);
    open({ port: relay.port });
    open();
    await divided(2, 3, 3);
    assertNeverTooMany();
  });

  test("needs no more commands than SECURITY.md names", options, async () => {
    const commands = ["+eval", "+time", "+zrange", "+zadd", "+zrem", "+zremrangebyscore", "+pexpire", "+getrange"];
    await redis.command("ACL", "SETUSER", "gate", "on", ">secret", "~clamgate:2:*", ...commands);
    open({ user: { username: "gate", password: "secret" } });
    open({ user: { username: "gate", password: "secret" } });
    await divided(4, 4);
    await redis.command("ACL", "SETUSER", "old", "on", ">secret", "~clamgate:2:*", "+getrange", "+set", "+eval", "+time");
    await Promise.all(opened.map((gateway) => gateway.stop()));
    const refused = open({ user: { username: "old", password: "secret" }, fallback: 3 });
    await divided(3);
    await untilTrue(() => refused.events.some((event) => event.kind === "cache-failed" && /script/.test(event.detail)));
  });

  test("leaves nothing in redis once all have stopped", options, async () => {
    open();
    open();
    await divided(4, 4);
    const left = Number(await redis.command("PTTL", `${prefix}clamd`));
    assert.ok(left > 0 && left <= 5_000, `${left} ms`);
    await Promise.all(opened.map((gateway) => gateway.stop()));
    assert.equal(await redis.command("DBSIZE"), 0);
  });

  test("counts what does not belong there as nobody's", options, async () => {
    await redis.command("ZADD", `${prefix}clamd`, "inf", "garbage");
    open();
    await divided(8);
    await redis.command("DEL", `${prefix}clamd`);
    await redis.command("SET", `${prefix}clamd`, "text");
    const other = open({ fallback: 2 });
    await untilTrue(() => other.share.size() === 2);
  });
});

function sum(gateways: readonly Gateway[]): number {
  return gateways.reduce((total, { share }) => total + share.size(), 0);
}

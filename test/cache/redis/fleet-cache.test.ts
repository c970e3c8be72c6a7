/** Leases in a real redis: one looks for what nobody knows, the others wait for it, and for nobody who is gone. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseVerdict } from "../../../src/cache/cacheable.ts";
import { leaseMs, type RedisCache, redisCache } from "../../../src/cache/redis/cache.ts";
import { type FleetCache, fleetCache } from "../../../src/cache/redis/fleet-cache.ts";
import { openRedis } from "../../../src/cache/redis/node.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import type { Verdict } from "../../../src/core/verdict.ts";
import type { Lookup } from "../../../src/core/verdict-cache.ts";
import { type LiveRedis, startRedis, untilTrue } from "../../live/redis.ts";
import { clean, infected, key, standalone, stored, storedKey } from "../redis-stage.ts";

const options = { timeout: 60_000 };
const leased = { kind: "leased" } as const;
const taken = { kind: "taken" } as const;
const scanAlone = { kind: "unknown", lease: null } as const;

interface Gateway extends AsyncDisposable {
  readonly store: RedisCache<Verdict>;
  readonly cache: FleetCache<Verdict>;
  readonly events: readonly GatewayEvent[];
  /** How its waits ended. */
  waits(): readonly string[];
  lookUp(signal?: AbortSignal): Promise<Lookup<Verdict>>;
}

interface GatewayOptions {
  readonly maxWaitMs?: number;
  /** The gateway's is 50; what a busy machine takes is not the question of most tests. */
  readonly budgetMs?: number;
  readonly user?: { readonly username: string; readonly password: string };
  /** Holds up the answers to its commands. */
  readonly untilTold?: () => Promise<void>;
}

describe("leases on what a redis does not hold", () => {
  let redis: LiveRedis;
  let opened: AsyncDisposableStack;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis[Symbol.asyncDispose]());
  beforeEach(async () => {
    await redis.command("FLUSHALL");
    opened = new AsyncDisposableStack();
  });
  afterEach(() => opened.disposeAsync());

  async function open({ maxWaitMs = 30_000, budgetMs = 10_000, user, untilTold }: GatewayOptions = {}): Promise<Gateway> {
    const events: GatewayEvent[] = [];
    const emit = (event: GatewayEvent) => void events.push(event);
    const clock = () => performance.now();
    const target = { place: standalone(redis), username: null, password: null, database: 0, tls: null, ...user };
    const store = redisCache(parseVerdict, {
      target,
      emit,
      clock,
      budgetMs,
      async open(...asked) {
        const session = await openRedis(...asked);
        const send: typeof session.send = async (command) => {
          const reply = await session.send(command);
          await untilTold?.();
          return reply;
        };
        return { ...session, send };
      },
    });
    const cache = fleetCache({ cache: store, maxWaitMs, emit, clock });
    const gateway: Gateway = {
      store,
      cache,
      events,
      waits: () => events.flatMap((event) => (event.kind === "scan-awaited" ? [event.outcome] : [])),
      lookUp: (signal = new AbortController().signal) => cache.lookUp(key, signal),
      [Symbol.asyncDispose]: () => cache.close(),
    };
    opened.use(gateway);
    await untilTrue(() => cache.health() === "ok");
    return gateway;
  }

  test("go to one of many, and its verdict to all", options, async () => {
    const gateways = await Promise.all(Array.from({ length: 8 }, () => open()));
    const looking = gateways.map((gateway) => gateway.lookUp());
    const first = await Promise.any(
      looking.map(async (look) => {
        const found = await look;
        return found.kind === "unknown" && found.lease !== null ? found.lease : Promise.reject(new Error("no lease"));
      }),
    );
    await gateways[0]?.cache.set(key, infected, 60);
    first.end(true);
    const found = await Promise.all(looking);
    const known = found.filter(({ kind }) => kind === "known");
    assert.equal(known.length, 7);
    for (const one of known) assert.deepEqual(one, { kind: "known", value: infected, isAwaited: true });
    assert.deepEqual(
      gateways.flatMap((gateway) => gateway.waits()),
      Array.from({ length: 7 }, () => "verdict"),
    );
    assert.deepEqual(await gateways[0]?.lookUp(), { kind: "known", value: infected, isAwaited: false });
  });

  test("are renewed and released by their own token alone", options, async () => {
    const { store } = await open();
    assert.deepEqual(await store.claim(key, "one"), leased);
    assert.deepEqual(await store.claim(key, "one"), leased);
    assert.deepEqual(await store.claim(key, "other"), taken);
    assert.equal(await store.renew(key, "other"), false);
    await store.release(key, "other");
    assert.deepEqual(await store.claim(key, "other"), taken);
    await redis.command("PEXPIRE", storedKey, "1000");
    assert.equal(await store.renew(key, "one"), true);
    assert.ok(Number(await redis.command("PTTL", storedKey)) > 1000);
    await store.release(key, "one");
    assert.deepEqual(await store.claim(key, "other"), { kind: "released" });
    assert.equal(await store.renew(key, "one"), false);
    const leftMs = Number(await redis.command("PTTL", storedKey));
    assert.ok(leftMs > 0 && leftMs <= 1000, `${leftMs} ms`);
  });

  test("give way to a verdict, and neither end nor renew it", options, async () => {
    const { store } = await open();
    await store.claim(key, "one");
    await store.set(key, infected, 60);
    assert.equal(await store.renew(key, "one"), false);
    await store.release(key, "one");
    assert.deepEqual(await store.claim(key, "one"), { kind: "known", value: infected });
    const leftMs = Number(await redis.command("PTTL", storedKey));
    assert.ok(leftMs > leaseMs && leftMs <= 60_000, `${leftMs} ms`);
  });

  test("are no verdict, and no fault, to whoever only looks", options, async () => {
    const { store, events } = await open();
    await store.claim(key, "one");
    assert.equal(await store.get(key), null);
    await store.release(key, "one");
    assert.equal(await store.get(key), null);
    assert.deepEqual(
      events.filter(({ kind }) => kind === "cache-failed"),
      [],
    );
  });

  test("lapse when their holder is gone: one of those who wait takes over, the others wait on", options, async () => {
    const [holder, ...others] = [await open(), await open(), await open(), await open()];
    await holder?.lookUp();
    await holder?.cache.close();
    const startedAt = performance.now();
    const looking = others.map(async (gateway) => {
      const found = await gateway.lookUp();
      if (found.kind === "known" || found.lease === null) return found.kind;
      assert.ok(performance.now() - startedAt < leaseMs + 3_000);
      await gateway.cache.set(key, clean, 60);
      found.lease.end(true);
      return "leased";
    });
    assert.deepEqual((await Promise.all(looking)).toSorted(), ["known", "known", "leased"]);
    assert.deepEqual(others.flatMap((gateway) => gateway.waits()).toSorted(), ["lapsed", "verdict", "verdict"]);
  });

  test("last as long as their holder scans", options, async () => {
    const [holder, other] = [await open(), await open()];
    const found = await holder.lookUp();
    const looking = other.lookUp();
    await new Promise((resolve) => setTimeout(resolve, 2 * leaseMs));
    assert.deepEqual([other.waits(), await redis.command("EXISTS", storedKey)], [[], 1]);
    await holder.cache.set(key, clean, 60);
    if (found.kind === "unknown") found.lease?.end(true);
    assert.deepEqual(await looking, { kind: "known", value: clean, isAwaited: true });
  });

  test("that end without a verdict let all go at once", options, async () => {
    const [holder, ...others] = [await open(), await open(), await open(), await open()];
    const found = await holder?.lookUp();
    const looking = others.map((gateway) => gateway.lookUp());
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (found?.kind === "unknown") found.lease?.end(false);
    assert.deepEqual(await Promise.all(looking), [scanAlone, scanAlone, scanAlone]);
    assert.deepEqual(
      others.flatMap((gateway) => gateway.waits()),
      ["released", "released", "released"],
    );
  });

  test("hold nobody up for longer than it would wait for an engine", options, async () => {
    const [holder, other] = [await open(), await open({ maxWaitMs: 200 })];
    const found = await holder.lookUp();
    const startedAt = performance.now();
    assert.deepEqual(await other.lookUp(), scanAlone);
    assert.ok(performance.now() - startedAt >= 200);
    assert.deepEqual(other.waits(), ["overdue"]);
    const hasty = await open({ maxWaitMs: 0 });
    assert.deepEqual([await hasty.lookUp(), hasty.waits()], [scanAlone, []]);
    if (found.kind === "unknown") found.lease?.end(false);
  });

  test("hold no request whose client goes", options, async () => {
    const [holder, other] = [await open(), await open()];
    const found = await holder.lookUp();
    const gone = new AbortController();
    const looking = assert.rejects(other.lookUp(gone.signal), (thrown) => thrown === "gone");
    setTimeout(() => gone.abort("gone"), 50);
    await looking;
    assert.deepEqual(other.waits(), []);
    if (found.kind === "unknown") found.lease?.end(false);
  });

  test("that were granted too late are held all the same, and no single late answer ends a wait for one", options, async () => {
    let isLate = true;
    const late = { budgetMs: 500, untilTold: async () => (isLate ? delay(700) : undefined) };
    const [holder, other] = [await open(late), await open(late)];
    const found = await holder.lookUp();
    assert.ok(found.kind === "unknown" && found.lease !== null);
    isLate = false;
    const looking = other.lookUp();
    await new Promise((resolve) => setTimeout(resolve, 200));
    isLate = true;
    await untilTrue(() => other.events.some(({ kind }) => kind === "cache-failed"));
    isLate = false;
    await new Promise((resolve) => setTimeout(resolve, leaseMs));
    assert.deepEqual(other.waits(), []);
    await holder.cache.set(key, infected, 60);
    found.lease.end(true);
    assert.deepEqual(await looking, { kind: "known", value: infected, isAwaited: true });
  });

  test("need no EVAL but to be renewed and released", options, async () => {
    await redis.command("ACL", "SETUSER", "plain", "on", ">secret", "~clamgate:2:*", "+getrange", "+set");
    const user = { username: "plain", password: "secret" };
    const [holder, other] = [await open({ user }), await open({ user })];
    const found = await holder.lookUp();
    assert.ok(found.kind === "unknown" && found.lease !== null);
    found.lease.end(false);
    const second = await other.lookUp();
    assert.ok(second.kind === "unknown" && second.lease !== null);
    assert.deepEqual(other.waits(), ["lapsed"]);
    await other.cache.set(key, clean, 60);
    second.lease.end(true);
    assert.deepEqual(await holder.lookUp(), { kind: "known", value: clean, isAwaited: false });
  });

  test("EVAL is enough for the rest", options, async () => {
    await redis.command("ACL", "SETUSER", "gate", "on", ">secret", "~clamgate:2:*", "+getrange", "+set", "+eval");
    const { store, events } = await open({ user: { username: "gate", password: "secret" } });
    await store.claim(key, "one");
    assert.equal(await store.renew(key, "one"), true);
    await store.release(key, "one");
    assert.deepEqual(await store.claim(key, "one"), { kind: "released" });
    assert.deepEqual(
      events.filter(({ kind }) => kind === "cache-failed"),
      [],
    );
  });

  for (const [what, ...command] of [
    ["garbage", "SET", storedKey, "garbage"],
    ["a verdict of an older form", "SET", storedKey, stored(clean, 1)],
    ["a list", "RPUSH", storedKey, "lease one"],
  ] as const) {
    test(`are not had where ${what} stands, and nobody waits`, options, async () => {
      await redis.command(...command);
      const gateway = await open();
      assert.deepEqual([await gateway.lookUp(), gateway.waits()], [scanAlone, []]);
      await gateway.cache.set(key, clean, 60);
      assert.deepEqual(await gateway.lookUp(), { kind: "known", value: clean, isAwaited: false });
    });
  }

  test("are not had from a redis that is full, which still tells what it knows", options, async () => {
    const gateway = await open();
    const other = { ...key, sha256: "cd".repeat(32) };
    await gateway.cache.set(other, infected, 60);
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    try {
      const { signal } = new AbortController();
      assert.deepEqual(await gateway.lookUp(), scanAlone);
      assert.deepEqual(await gateway.cache.lookUp(other, signal), { kind: "known", value: infected, isAwaited: false });
    } finally {
      await redis.command("CONFIG", "SET", "maxmemory", "0");
    }
  });

  for (const [what, befall] of [
    ["is killed", () => redis.kill()],
    ["hangs", () => redis.freeze()],
  ] as const) {
    test(`let all go when redis ${what}`, options, async () => {
      const [holder, ...others] = [await open(), await open({ budgetMs: 50 }), await open({ budgetMs: 50 })];
      const found = await holder?.lookUp();
      const looking = others.map((gateway) => gateway.lookUp());
      await new Promise((resolve) => setTimeout(resolve, 100));
      await befall();
      const startedAt = performance.now();
      try {
        for (const look of await Promise.all(looking)) assert.equal(look.kind, "unknown");
        const waitedMs = performance.now() - startedAt;
        assert.ok(waitedMs < leaseMs, `waited ${waitedMs} ms`);
        assert.deepEqual(
          others.flatMap((gateway) => gateway.waits()),
          ["failed", "failed"],
        );
        if (found?.kind === "unknown") found.lease?.end(false);
      } finally {
        if (redis.isAlive()) redis.thaw();
        else await redis.restart();
      }
    });
  }
});

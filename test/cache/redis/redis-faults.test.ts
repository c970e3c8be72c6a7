/** Whatever befalls redis (reliability.md F12): a scan goes on without it, soon without asking, and with it once it is well. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { RedisCache } from "../../../src/cache/redis/cache.ts";
import type { Verdict } from "../../../src/core/verdict.ts";
import { type LiveRedis, startRedis, untilTrue } from "../../live/redis.ts";
import { clean, connectedCache, infected, key, type StagedCache, stageCache, standalone } from "../redis-stage.ts";

/** A hang becomes a failure. */
const options = { timeout: 120_000 };
/** Of a busy machine; whatever waits for redis, waits longer. */
const promptMs = 1500;
const other = { ...key, sha256: "cd".repeat(32) };

/** All the ways a scan asks; false when anything but a miss comes back. */
async function misses(cache: RedisCache<Verdict>): Promise<boolean> {
  await cache.set(other, clean, 60);
  return (await cache.get(key)) === null && (await cache.get(other)) === null;
}

async function elapsedMs(call: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await call();
  return performance.now() - startedAt;
}

function details(staged: StagedCache): string {
  return staged
    .faults()
    .map(({ detail }) => detail)
    .join("\n");
}

describe("redisCache", () => {
  let redis: LiveRedis;
  let staged: StagedCache;

  beforeEach(async () => {
    redis = await startRedis();
    staged = await connectedCache(standalone(redis));
    await staged.cache.set(key, infected, 3600);
  });
  afterEach(async () => {
    await staged[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  });

  test("misses at once while redis is killed, and connects again when it is back", options, async () => {
    await redis.kill();
    await staged.untilDegraded();
    assert.equal(await misses(staged.cache), true);
    await redis.restart();
    await staged.untilOk();
    await staged.cache.set(key, clean, 60);
    assert.deepEqual(await staged.cache.get(key), clean);
    assert.deepEqual(
      staged.logged().map((event) => event.kind),
      ["notice", "cache-failed", "notice"],
    );
  });

  test("waits for no redis that is not there yet", options, async () => {
    await redis.kill();
    await using early = stageCache(standalone(redis), { budgetMs: 50 });
    assert.equal(early.cache.health(), "degraded");
    assert.equal(await misses(early.cache), true);
    await untilTrue(() => early.faults("open").length >= 3);
    assert.match(details(early), /^redis 127\.0\.0\.1:\d+: connect ECONNREFUSED/);
    assert.equal(early.logged().length, 1);
    await redis.restart();
    await early.untilOk();
    await early.cache.set(key, clean, 60);
    assert.deepEqual(await early.cache.get(key), clean);
  });

  test(
    "costs a scan its budget at most when redis hangs, notices it, and finds its verdicts when it goes on",
    options,
    async () => {
      await using guarded = await connectedCache(standalone(redis), { budgetMs: 50 });
      redis.freeze();
      const waitedMs = await elapsedMs(() => Promise.all(Array.from({ length: 20 }, () => guarded.cache.get(key))));
      assert.ok(waitedMs < promptMs, `waited ${waitedMs} ms`);
      await guarded.untilDegraded();
      await untilTrue(() => guarded.faults("open").length > 0);
      assert.match(details(guarded), /no answer within 50 ms/);
      assert.match(details(guarded), /stopped answering/);
      assert.equal(await misses(guarded.cache), true);
      redis.thaw();
      await untilTrue(async () => (await guarded.cache.get(key)) !== null);
      assert.deepEqual(await guarded.cache.get(key), infected);
    },
  );

  test("notices that redis hangs though nobody asks", options, async () => {
    redis.freeze();
    await staged.untilDegraded();
    assert.match(details(staged), /stopped answering/);
    redis.thaw();
    await staged.untilOk();
    assert.deepEqual(await staged.cache.get(key), infected);
  });

  test("closes at once while redis hangs", options, async () => {
    redis.freeze();
    const asked = staged.cache.get(key);
    assert.ok((await elapsedMs(() => staged.cache.close())) < promptMs);
    assert.equal(await asked, null);
  });

  test("closes at once while it connects to a redis that hangs", options, async () => {
    redis.freeze();
    const early = stageCache(standalone(redis), { password: "secret" });
    assert.ok((await elapsedMs(() => early.cache.close())) < promptMs);
    assert.deepEqual(early.events, []);
  });

  test("does not blame redis for a stall of its own process", options, async () => {
    await using guarded = await connectedCache(standalone(redis), { budgetMs: 50 });
    const asked = Array.from({ length: 20 }, () => guarded.cache.get(key));
    // They are on their way.
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    const resumesAtMs = performance.now() + 120;
    while (performance.now() < resumesAtMs);
    assert.deepEqual(new Set((await Promise.all(asked)).map((verdict) => verdict?.kind)), new Set(["infected"]));
    assert.deepEqual(guarded.faults(), []);
  });

  test("is patient with a redis that is slow for a moment", options, async () => {
    await using guarded = await connectedCache(standalone(redis), { budgetMs: 50 });
    redis.freeze();
    assert.equal(await guarded.cache.get(key), null);
    redis.thaw();
    await untilTrue(async () => (await guarded.cache.get(key)) !== null);
    assert.deepEqual(guarded.faults("open"), []);
  });

  test("stops asking a redis behind half a second of latency", options, async () => {
    await using slow = await startDelay(redis.port, 500);
    await using far = await connectedCache(standalone(slow), { budgetMs: 50 });
    for (let index = 0; index < 5; index += 1) assert.equal(await far.cache.get(key), null);
    assert.equal(far.cache.health(), "degraded");
    assert.equal(await misses(far.cache), true);
    assert.deepEqual([far.faults().length, far.faults("open").length], [5, 0]);
    assert.match(details(far), /left alone for 5000 ms$/);
  });

  test("reads on from a replica that takes no writes, without a line in the log for each", options, async () => {
    await redis.command("REPLICAOF", "127.0.0.1", "1");
    await staged.cache.set(other, clean, 60);
    assert.match(details(staged), /^READONLY/);
    // The name may stand for another server by now, so it connects anew; once.
    await untilTrue(async () => (await staged.cache.get(key)) !== null);
    for (let index = 0; index < 50; index += 1) await staged.cache.set(other, clean, 60);
    assert.deepEqual(await staged.cache.get(key), infected);
    assert.deepEqual([staged.faults().length, staged.logged().length], [51, 2]);
    assert.equal(staged.cache.health(), "degraded");
    await redis.command("REPLICAOF", "NO", "ONE");
    await staged.cache.set(other, clean, 60);
    assert.deepEqual(await staged.cache.get(other), clean);
    assert.deepEqual([staged.cache.health(), staged.faults().length], ["ok", 51]);
  });

  test("finds what there is while redis is out of memory, without a line in the log for each refusal", options, async () => {
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    for (let index = 0; index < 50; index += 1) {
      await staged.cache.set(other, clean, 60);
      assert.deepEqual(await staged.cache.get(key), infected);
    }
    assert.match(details(staged), /^OOM/);
    assert.deepEqual([staged.faults().length, staged.logged().length, staged.cache.health()], [50, 2, "degraded"]);
    await redis.command("CONFIG", "SET", "maxmemory", "0");
    await staged.cache.set(other, clean, 60);
    assert.deepEqual(await staged.cache.get(other), clean);
    assert.equal(staged.cache.health(), "ok");
  });

  test("is degraded while a password is asked that it does not have", options, async () => {
    await redis.command("CONFIG", "SET", "requirepass", "secret");
    await using early = stageCache(standalone(redis), { budgetMs: 50 });
    await untilTrue(() => early.faults().length >= 2);
    assert.match(details(early), /NOAUTH/);
    assert.equal(await misses(early.cache), true);
    assert.equal(early.cache.health(), "degraded");
    await using wrong = stageCache(standalone(redis), { password: "hunter2-secret" });
    await untilTrue(() => wrong.faults().length >= 2);
    assert.match(details(wrong), /WRONGPASS/);
    assert.doesNotMatch(JSON.stringify([early.events, wrong.events]), /secret/);
  });

  test("waits for a redis that loads its data", options, async () => {
    const large = "x".repeat(4096);
    for (let index = 0; index < 100; index += 1) await redis.command("SET", `large:${index}`, large);
    // Each key takes 20 ms, and after each it answers whoever asks.
    await redis.command("CONFIG", "SET", "key-load-delay", "20000", "loading-process-events-interval-bytes", "1024");
    const loading = redis.command("DEBUG", "RELOAD");
    await untilTrue(async () => {
      await staged.cache.get(key);
      return staged.faults("open").some(({ detail }) => detail.includes("LOADING"));
    });
    assert.equal(await misses(staged.cache), true);
    assert.equal(staged.cache.health(), "degraded");
    await loading;
    await staged.untilOk();
    assert.deepEqual(await staged.cache.get(key), infected);
  });

  test("fails no scan while redis is killed and started again under load", options, async () => {
    await using guarded = await connectedCache(standalone(redis), { budgetMs: 50 });
    let isOver = false;
    let hits = 0;
    let longestMs = 0;
    const verdict = (digest: string) => (digest.startsWith("a") ? infected : clean);
    const load = Array.from({ length: 32 }, async (_, lane) => {
      for (let turn = 0; !isOver; turn += 1) {
        const sha256 = `${turn % 2 ? "a" : "b"}${(turn % 50).toString(16).padStart(31, "0")}${lane.toString(16).padStart(32, "0")}`;
        const one = { sha256, tag: key.tag };
        const startedAt = performance.now();
        const found = await guarded.cache.get(one);
        longestMs = Math.max(longestMs, performance.now() - startedAt);
        if (found === null) await guarded.cache.set(one, verdict(sha256), 60);
        else assert.deepEqual(found, verdict(sha256));
        if (found !== null) hits += 1;
        await new Promise(setImmediate);
      }
    });
    for (let round = 0; round < 3; round += 1) {
      const before = hits;
      await untilTrue(() => hits > before + 100);
      await redis.kill();
      await guarded.untilDegraded();
      await redis.restart();
      await guarded.untilOk();
    }
    isOver = true;
    await Promise.all(load);
    assert.ok(longestMs < promptMs, `a get took ${longestMs} ms`);
  });

  test("is no worse off with a server that speaks something else", options, async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on("error", () => {}));
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    await using lost = stageCache(standalone({ host: "127.0.0.1", port: address.port }));
    await untilTrue(() => lost.faults("open").length >= 2);
    assert.equal(await misses(lost.cache), true);
    server.close();
    for (const socket of sockets) socket.destroy();
  });
});

interface Delay extends AsyncDisposable {
  readonly host: "127.0.0.1";
  readonly port: number;
}

/** Stands before a port and passes each piece of an answer on `delayMs` later. */
async function startDelay(port: number, delayMs: number): Promise<Delay> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) sockets.add(socket.on("error", () => {}));
    near.pipe(far);
    far.on("data", (piece) => setTimeout(() => near.write(piece), delayMs));
    near.on("close", () => far.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return {
    host: "127.0.0.1",
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

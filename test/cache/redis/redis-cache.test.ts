import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { describeVerdictCache } from "../../contract/verdict-cache.ts";
import { type LiveRedis, startRedis } from "../../live/redis.ts";
import { clean, connectedCache, infected, key, type StagedCache, standalone, stored, storedKey } from "../redis-stage.ts";

let redis: LiveRedis;
before(async () => {
  redis = await startRedis();
});
after(() => redis[Symbol.asyncDispose]());

/** Redis has no clock that a test could turn: instead its keys are told anew how long they have. */
class KeyTimes {
  readonly #dueMs = new Map<string, { readonly dueMs: number; readonly toldAt: number }>();
  #elapsedMs = 0;

  async advance(ms: number): Promise<void> {
    for (const name of (await redis.command("KEYS", "*")) as string[]) await this.#see(name);
    this.#elapsedMs += ms;
    for (const [name, { dueMs }] of this.#dueMs) if (dueMs <= this.#elapsedMs) await redis.command("DEL", name);
  }

  /** A new end of a key's time is a whole number of seconds from its set, which was less than one ago. */
  async #see(name: string): Promise<void> {
    const expiresAt = Number(await redis.command("PEXPIRETIME", name));
    if (this.#dueMs.get(name)?.toldAt === expiresAt) return;
    const leftMs = Math.ceil(Number(await redis.command("PTTL", name)) / 1000) * 1000;
    const toldAt = Date.now() + 3_600_000;
    await redis.command("PEXPIREAT", name, String(toldAt));
    this.#dueMs.set(name, { dueMs: this.#elapsedMs + leftMs, toldAt });
  }
}

describeVerdictCache("redisCache", async () => {
  await redis.command("FLUSHALL");
  const staged = await connectedCache(standalone(redis));
  const times = new KeyTimes();
  return {
    cache: staged.cache,
    advance: (ms) => times.advance(ms),
    get faults() {
      return staged.faults().map(({ detail }) => detail);
    },
    [Symbol.asyncDispose]: () => staged[Symbol.asyncDispose](),
  };
});

describe("redisCache", () => {
  let one: StagedCache;

  beforeEach(async () => {
    await redis.command("FLUSHALL");
    one = await connectedCache(standalone(redis));
  });
  afterEach(() => one[Symbol.asyncDispose]());

  test("stores compact JSON under prefix, digest and tag, with the time to live", async () => {
    await one.cache.set(key, infected, 86_400);
    assert.equal(await redis.command("GET", storedKey), stored(infected));
    assert.equal(await redis.command("TTL", storedKey), 86_400);
    await one.cache.set(key, clean, 1.999);
    assert.equal(await redis.command("TTL", storedKey), 1);
    await redis.command("DEL", storedKey);
    await one.cache.set(key, clean, 0.999);
    assert.deepEqual(await redis.command("KEYS", "*"), []);
  });

  test("shares verdicts with every other cache on the same redis, at once", async () => {
    await using two = await connectedCache(standalone(redis));
    assert.equal(await two.cache.get(key), null);
    await one.cache.set(key, clean, 60);
    assert.deepEqual(await two.cache.get(key), clean);
    await two.cache.set(key, infected, 60);
    assert.deepEqual(await one.cache.get(key), infected);
    await redis.command("DEL", storedKey);
    assert.deepEqual([await one.cache.get(key), await two.cache.get(key)], [null, null]);
  });

  test("keeps databases apart", async () => {
    await using other = await connectedCache(standalone(redis), { database: 3 });
    await one.cache.set(key, clean, 60);
    assert.equal(await other.cache.get(key), null);
    await other.cache.set(key, infected, 60);
    assert.deepEqual(await one.cache.get(key), clean);
  });

  test("misses a value that is copied to another key", async () => {
    await one.cache.set(key, clean, 60);
    await redis.command("COPY", storedKey, `clamgate:2:${"cd".repeat(32)}${key.tag}`);
    assert.equal(await one.cache.get({ ...key, sha256: "cd".repeat(32) }), null);
    assert.deepEqual(await one.cache.get(key), clean);
  });

  test("takes no more of a key into memory than a value is long", async () => {
    await redis.command("SETRANGE", storedKey, String(64 * 1024 * 1024), "x");
    await one.untilOk();
    const before = process.memoryUsage().rss;
    assert.equal(await one.cache.get(key), null);
    const grownBytes = process.memoryUsage().rss - before;
    assert.equal(grownBytes < 32 * 1024 * 1024, true, `${grownBytes} bytes`);
    assert.equal(one.faults("get").length, 1);
    await one.cache.set(key, clean, 60);
    assert.deepEqual(await one.cache.get(key), clean);
  });

  test("misses a key that holds nothing", async () => {
    await redis.command("SET", storedKey, "");
    assert.equal(await one.cache.get(key), null);
  });

  const garbage = [
    stored(clean, 3),
    stored({ kind: "Clean" }),
    stored({ kind: "infected", signatures: [] }),
    "contains no virus",
    "{",
    "null",
    '"clean"',
    '{"kind":"Clean"}',
    '{"kind":"infected","signatures":[]}',
    '{"kind":"unscannable","reason":"limit-time","heuristic":null}',
    "\xff\xfe\0",
  ];
  for (const text of garbage) {
    test(`makes a miss of a key that holds ${JSON.stringify(text)}, and lets the next verdict replace it`, async () => {
      await redis.command("SET", storedKey, text);
      assert.equal(await one.cache.get(key), null);
      assert.deepEqual(one.faults(), [
        { kind: "cache-failed", operation: "get", detail: "a key holds nothing that belongs there" },
      ]);
      assert.equal(one.cache.health(), "ok");
      await one.cache.set(key, clean, 60);
      assert.deepEqual(await one.cache.get(key), clean);
    });
  }

  test("makes a miss of a key of another type, and lets the next verdict replace it", async () => {
    await redis.command("RPUSH", storedKey, JSON.stringify(clean));
    assert.equal(await one.cache.get(key), null);
    assert.match(one.faults()[0]?.detail ?? "", /^WRONGTYPE/);
    assert.equal(one.cache.health(), "ok");
    await one.cache.set(key, clean, 60);
    assert.deepEqual(await one.cache.get(key), clean);
  });

  test("says of many equal faults that they are repeated, all but the first", async () => {
    await redis.command("SET", storedKey, "garbage");
    await Promise.all(Array.from({ length: 100 }, () => one.cache.get(key)));
    assert.equal(one.faults().length, 100);
    assert.equal(one.logged().filter(({ kind }) => kind === "cache-failed").length, 1);
  });

  test("connects though something stands under the key it asks for", async () => {
    await redis.command("RPUSH", "clamgate:2:probe", "x");
    await using two = await connectedCache(standalone(redis));
    assert.deepEqual(two.faults(), []);
  });

  test("says once where it is connected, and no secret", async () => {
    assert.deepEqual(one.events, [
      { kind: "notice", level: "info", message: `verdict cache: connected to redis 127.0.0.1:${redis.port}` },
    ]);
  });

  test("is degraded and silent once it is closed", async () => {
    const asked = Array.from({ length: 100 }, () => one.cache.get(key));
    await one.cache.close();
    assert.deepEqual(new Set(await Promise.all(asked)), new Set([null]));
    assert.deepEqual([one.cache.health(), one.faults()], ["degraded", []]);
    await one.cache.close();
  });
});

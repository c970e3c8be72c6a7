import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { memoryCacheOf } from "../../src/cache/memory-cache.ts";
import { type DatedVerdict, memoryFront, parseDatedVerdict } from "../../src/cache/memory-front.ts";
import type { FleetCache } from "../../src/cache/redis/fleet-cache.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import type { VerdictCache } from "../../src/core/verdict-cache.ts";
import { describeVerdictCache } from "../contract/verdict-cache.ts";
import { ManualTime } from "./manual-time.ts";

const key = { sha256: "0a".repeat(32), tag: "t" };
const clean: Verdict = { kind: "clean" };
const infected: Verdict = { kind: "infected", signatures: ["One"] };

interface SharedStore extends FleetCache<DatedVerdict> {
  isAway: boolean;
  gets: number;
}

/** What several gateways share: in memory, and away when a test says so. */
function sharedStore(time: ManualTime): SharedStore {
  const memory = memoryCacheOf(parseDatedVerdict, { maxEntries: 10_000, clock: time.clock });
  const store: SharedStore = {
    isAway: false,
    gets: 0,
    async get(one) {
      store.gets += 1;
      return store.isAway ? null : memory.get(one);
    },
    async set(one, value, ttlSeconds) {
      if (!store.isAway) await memory.set(one, value, ttlSeconds);
    },
    async lookUp(one) {
      const value = await store.get(one);
      return value === null ? { kind: "unknown", lease: null } : { kind: "known", value, isAwaited: false };
    },
    health: () => (store.isAway ? "degraded" : "ok"),
    close: () => memory.close(),
  };
  return store;
}

function inFront(store: FleetCache<DatedVerdict>, time: ManualTime, maxEntries = 10_000): VerdictCache {
  return memoryFront({ store, maxEntries, clock: time.clock, now: time.now });
}

describeVerdictCache("memoryFront", async () => {
  const time = new ManualTime();
  const cache = inFront(sharedStore(time), time);
  return { cache, advance: (ms) => time.advance(ms), faults: [], [Symbol.asyncDispose]: () => cache.close() };
});

describe("memoryFront", () => {
  const { signal } = new AbortController();

  test("knows what was set or found here while the store is away, and not what was not", async () => {
    const time = new ManualTime();
    const store = sharedStore(time);
    const [one, other] = [inFront(store, time), inFront(store, time)];
    await one.set(key, infected, 60);
    await one.set({ ...key, tag: "unseen" }, clean, 60);
    assert.equal(other.peek?.(key), null);
    assert.deepEqual(await other.lookUp?.(key, signal), { kind: "known", value: infected, isAwaited: false });
    store.isAway = true;
    assert.deepEqual([one.peek?.(key), other.peek?.(key)], [infected, infected]);
    assert.deepEqual(await other.get(key), infected);
    assert.deepEqual(await other.lookUp?.(key, signal), { kind: "known", value: infected, isAwaited: false });
    assert.equal(await other.get({ ...key, tag: "unseen" }), null);
    assert.deepEqual([one.health?.(), other.health?.()], ["degraded", "degraded"]);
    await other.set({ ...key, tag: "alone" }, clean, 60);
    assert.deepEqual(other.peek?.({ ...key, tag: "alone" }), clean);
  });

  test("keeps what it found no longer than whoever set it", async () => {
    const time = new ManualTime();
    const store = sharedStore(time);
    const [one, other] = [inFront(store, time), inFront(store, time)];
    await one.set(key, clean, 60);
    time.advance(40_000);
    assert.deepEqual(await other.get(key), clean);
    time.advance(19_999);
    assert.deepEqual(other.peek?.(key), clean);
    time.advance(1);
    assert.deepEqual([other.peek?.(key), await other.get(key)], [null, null]);
  });

  test("keeps nothing that does not say for how long", async () => {
    const time = new ManualTime();
    const store = sharedStore(time);
    for (const expiresAt of [undefined, 0.5, Number.NaN, time.now() - 1]) {
      await store.set(key, { ...clean, ...(expiresAt === undefined ? {} : { expiresAt }) }, 60);
      const other = inFront(store, time);
      assert.deepEqual(await other.get(key), clean);
      assert.equal(other.peek?.(key), null);
    }
  });

  test("reads a date beside a verdict, and no other field", () => {
    for (const verdict of [clean, { kind: "infected", signatures: ["X"] }]) {
      assert.deepEqual(parseDatedVerdict({ ...verdict, expiresAt: 5 }), { ...verdict, expiresAt: 5 });
      assert.equal(parseDatedVerdict({ ...verdict, expiresAt: 5, onlyFor: "some" }), null);
    }
    for (const value of [null, 1, {}, { expiresAt: 5 }]) assert.equal(parseDatedVerdict(value), null);
  });

  test("asks the store for what it knows no more", async () => {
    const time = new ManualTime();
    const store = sharedStore(time);
    const cache = inFront(store, time, 2);
    const keys = ["a", "b", "c"].map((tag) => ({ ...key, tag }));
    for (const one of keys) await cache.set(one, clean, 60);
    assert.deepEqual(
      keys.map((one) => cache.peek?.(one) ?? null),
      [null, clean, clean],
    );
    for (const one of keys) assert.deepEqual(await cache.get(one), clean);
    assert.ok(store.gets > 0);
  });
});

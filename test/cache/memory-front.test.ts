import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseVerdict } from "../../src/cache/cacheable.ts";
import {
  type DatedVerdict,
  type LocalStore,
  memoryFront,
  noCache,
  parseDatedVerdict,
  type StoredValue,
  sharedVerdicts,
} from "../../src/cache/memory-front.ts";
import type { FleetCache } from "../../src/cache/redis/fleet-cache.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import type { VerdictCache, VerdictKey } from "../../src/core/verdict-cache.ts";
import { describeVerdictCache } from "../contract/verdict-cache.ts";
import { ManualTime } from "./manual-time.ts";

const key = { sha256: "0a".repeat(32), tag: "t" };
const clean: Verdict = { kind: "clean" };
const infected: Verdict = { kind: "infected", signatures: ["One"] };

describeVerdictCache("memoryFront", async () => {
  const time = new ManualTime();
  const cache = memoryFront(parseVerdict, { store: null, maxEntries: 1000, clock: time.clock, now: time.now });
  return {
    cache: { ...cache, get: async (key: VerdictKey) => cache.peek(key) },
    advance: (ms) => time.advance(ms),
    faults: [],
    [Symbol.asyncDispose]: () => cache.close(),
  };
});

describe("memoryFront", () => {
  /** A file as it would be: what is in it, and how often it was asked. */
  function fileOf(time: ManualTime, found: StoredValue<Verdict> | null = null) {
    const texts: string[] = [];
    const file = { asked: 0, closed: 0, texts };
    const store: LocalStore<Verdict> = {
      get() {
        file.asked += 1;
        return found;
      },
      set: (_key, { text, ttlMs }) => void texts.push(`${text} ${ttlMs}`),
      health: () => "degraded",
      close() {
        file.closed += 1;
      },
    };
    const cache = memoryFront(parseVerdict, { store, maxEntries: 2, clock: time.clock, now: time.now });
    return { file, cache };
  }

  test("asks its store once for what it finds there, and keeps it no longer than it is stored", () => {
    const time = new ManualTime();
    const { file, cache } = fileOf(time, { value: infected, expiresAt: time.now() + 1000 });
    assert.deepEqual([cache.peek(key), cache.peek(key), file.asked], [infected, infected, 1]);
    time.advance(999);
    assert.deepEqual([cache.peek(key), file.asked], [infected, 1]);
    time.advance(1);
    cache.peek(key);
    assert.equal(file.asked, 2);
  });

  test("holds its time by its own clock, whatever is done to the wall's", () => {
    const time = new ManualTime();
    const { cache } = fileOf(time);
    cache.set(key, clean, 60);
    for (const change of [-3_600_000, 7_200_000]) {
      time.setWall(change);
      assert.deepEqual(cache.peek(key), clean);
    }
    time.advance(60_000);
    assert.equal(cache.peek(key), null);
  });

  test("tells its store what is set, asks it for what it had no room for, and is as well as that is", async () => {
    const { file, cache } = fileOf(new ManualTime());
    for (const tag of ["a", "b", "c"]) cache.set({ ...key, tag }, clean, 60);
    assert.equal(file.texts.length, 3);
    assert.match(file.texts[0] ?? "", /"kind":"clean".* 60000$/);
    assert.deepEqual(
      ["a", "b", "c"].map((tag) => cache.peek({ ...key, tag })),
      [null, clean, clean],
    );
    assert.deepEqual([file.asked, cache.health()], [1, "degraded"]);
    await Promise.all([cache.close(), cache.close()]);
    assert.deepEqual([file.closed, cache.peek({ ...key, tag: "c" }), file.asked], [1, null, 1]);
  });

  test("forgets the verdict not asked for the longest when it is full", () => {
    const { cache } = fileOf(new ManualTime());
    cache.set({ ...key, tag: "one" }, clean, 60);
    cache.set({ ...key, tag: "two" }, clean, 60);
    cache.peek({ ...key, tag: "one" });
    cache.set({ ...key, tag: "three" }, clean, 60);
    assert.deepEqual(
      ["one", "two", "three"].map((tag) => cache.peek({ ...key, tag }) !== null),
      [true, false, true],
    );
  });
});

describe("noCache", () => {
  test("remembers nothing", () => {
    const cache: VerdictCache = noCache;
    cache.set(key, clean, 60);
    assert.equal(cache.peek(key), null);
  });
});

interface SharedStore extends FleetCache<DatedVerdict> {
  isAway: boolean;
}

/** What several gateways share: in memory, and away when a test says so. */
function sharedStore(time: ManualTime): SharedStore {
  const memory = memoryFront(parseDatedVerdict, { store: null, maxEntries: 10_000, clock: time.clock, now: time.now });
  const store: SharedStore = {
    isAway: false,
    get: async (one) => (store.isAway ? null : memory.peek(one)),
    async set(one, value, ttlSeconds) {
      if (!store.isAway) memory.set(one, value, ttlSeconds);
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

function inFront(store: FleetCache<DatedVerdict>, time: ManualTime): VerdictCache {
  const memory = memoryFront(parseVerdict, { store: null, maxEntries: 10_000, clock: time.clock, now: time.now });
  return sharedVerdicts({ memory, store, now: time.now });
}

/** As a scan asks. */
async function find(cache: VerdictCache, one: VerdictKey): Promise<Verdict | null> {
  const known = cache.peek(one);
  if (known !== null) return known;
  const found = await cache.lookUp?.(one, new AbortController().signal);
  return found?.kind === "known" ? found.value : null;
}

describeVerdictCache("sharedVerdicts", async () => {
  const time = new ManualTime();
  const cache = inFront(sharedStore(time), time);
  const get = (one: VerdictKey) => find(cache, one);
  return { cache: { ...cache, get }, advance: (ms) => time.advance(ms), faults: [], [Symbol.asyncDispose]: () => cache.close() };
});

describe("sharedVerdicts", () => {
  const { signal } = new AbortController();

  test("knows what was set or found here while the store is away, and not what was not", async () => {
    const time = new ManualTime();
    const store = sharedStore(time);
    const [one, other] = [inFront(store, time), inFront(store, time)];
    await one.set(key, infected, 60);
    await one.set({ ...key, tag: "unseen" }, clean, 60);
    assert.equal(other.peek(key), null);
    assert.deepEqual(await other.lookUp?.(key, signal), { kind: "known", value: infected, isAwaited: false });
    store.isAway = true;
    assert.deepEqual([one.peek(key), other.peek(key)], [infected, infected]);
    assert.deepEqual(await find(other, key), infected);
    assert.equal(await find(other, { ...key, tag: "unseen" }), null);
    assert.deepEqual([one.health(), other.health()], ["degraded", "degraded"]);
    await other.set({ ...key, tag: "alone" }, clean, 60);
    assert.deepEqual(other.peek({ ...key, tag: "alone" }), clean);
  });

  test("keeps what it found no longer than whoever set it", async () => {
    const time = new ManualTime();
    const store = sharedStore(time);
    const [one, other] = [inFront(store, time), inFront(store, time)];
    await one.set(key, clean, 60);
    time.advance(40_000);
    assert.deepEqual(await find(other, key), clean);
    time.advance(19_999);
    assert.deepEqual(other.peek(key), clean);
    time.advance(1);
    assert.deepEqual([other.peek(key), await find(other, key)], [null, null]);
  });

  test("keeps nothing that does not say for how long", async () => {
    const time = new ManualTime();
    const store = sharedStore(time);
    for (const expiresAt of [undefined, 0.5, Number.NaN, time.now() - 1]) {
      await store.set(key, { ...clean, ...(expiresAt === undefined ? {} : { expiresAt }) }, 60);
      const other = inFront(store, time);
      assert.deepEqual(await find(other, key), clean);
      assert.equal(other.peek(key), null);
    }
  });

  test("reads a date beside a verdict, and no other field", () => {
    for (const verdict of [clean, { kind: "infected", signatures: ["X"] }]) {
      assert.deepEqual(parseDatedVerdict({ ...verdict, expiresAt: 5 }), { ...verdict, expiresAt: 5 });
      assert.equal(parseDatedVerdict({ ...verdict, expiresAt: 5, onlyFor: "some" }), null);
    }
    for (const value of [null, 1, {}, { expiresAt: 5 }]) assert.equal(parseDatedVerdict(value), null);
  });
});

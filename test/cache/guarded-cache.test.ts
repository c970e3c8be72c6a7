import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guardedCache } from "../../src/cache/guarded-cache.ts";
import { memoryCache } from "../../src/cache/memory-cache.ts";
import { noCache } from "../../src/cache/no-cache.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import type { VerdictCache } from "../../src/core/verdict-cache.ts";
import { describeVerdictCache } from "../contract/verdict-cache.ts";
import { ManualTime } from "./manual-time.ts";

const key = { sha256: "0a".repeat(32), tag: "t" };
const clean: Verdict = { kind: "clean" };

describeVerdictCache("guardedCache of memoryCache", async () => {
  const time = new ManualTime();
  const faults: string[] = [];
  const cache = guardedCache({
    cache: memoryCache({ maxEntries: 1000, clock: time.clock }),
    budgetMs: 50,
    emit: (event) => faults.push(JSON.stringify(event)),
    clock: time.clock,
    timers: time,
  });
  return { cache, advance: (ms) => time.advance(ms), faults, [Symbol.asyncDispose]: () => cache.close() };
});

describe("guardedCache", () => {
  function guard(inner: Partial<VerdictCache>) {
    const time = new ManualTime();
    const events: GatewayEvent[] = [];
    let calls = 0;
    function counted<Arguments extends readonly unknown[], T>(call: (...given: Arguments) => T): (...given: Arguments) => T {
      return (...given) => {
        calls += 1;
        return call(...given);
      };
    }
    const { get, set, close, health } = { ...noCache<Verdict>(), ...inner };
    const cache = guardedCache({
      cache: { get: counted(get), set: counted(set), close: counted(close), ...(health ? { health } : {}) },
      budgetMs: 50,
      emit: (event) => events.push(event),
      clock: time.clock,
      timers: time,
    });
    return { time, events, cache, calls: () => calls };
  }

  test("makes a miss of a get that rejects or throws, and emits it", async () => {
    for (const get of [
      () => Promise.reject(new Error("no store")),
      () => {
        throw new Error("no store");
      },
    ]) {
      const { cache, events, time } = guard({ get });
      assert.equal(await cache.get(key), null);
      assert.deepEqual(events, [{ kind: "cache-failed", operation: "get", detail: "no store" }]);
      assert.equal(time.waiting, 0);
    }
  });

  test("lets no set throw, and emits what it threw", async () => {
    for (const set of [
      () => Promise.reject("text"),
      () => {
        throw new Error("text");
      },
    ]) {
      const { cache, events, time } = guard({ set });
      await cache.set(key, clean, 60);
      assert.deepEqual(events, [{ kind: "cache-failed", operation: "set", detail: "text" }]);
      assert.equal(time.waiting, 0);
    }
  });

  test("waits for its budget and no longer, and drops what comes later", async () => {
    const late = Promise.withResolvers<Verdict | null>();
    const { cache, events, time } = guard({ get: () => late.promise, set: () => new Promise(() => {}) });
    let answer: unknown = "none yet";
    const getting = cache.get(key).then((verdict) => {
      answer = verdict;
    });
    const setting = cache.set(key, clean, 60);
    assert.equal(time.nextMs, 50);
    time.advance(49);
    await Promise.resolve();
    assert.equal(answer, "none yet");
    time.advance(1);
    await Promise.all([getting, setting]);
    assert.equal(answer, null);
    late.reject(new Error("too late to matter"));
    assert.deepEqual(
      events.map((event) => event.kind === "cache-failed" && [event.operation, event.detail]),
      [
        ["get", "no answer within 50 ms"],
        ["set", "no answer within 50 ms"],
      ],
    );
  });

  test("makes a miss of an answer that is no verdict", async () => {
    for (const wrong of [undefined, "clean", { kind: "fine" }, { kind: "unscannable", reason: "poison", heuristic: null }]) {
      const { cache, events } = guard({ get: async () => wrong as unknown as Verdict });
      assert.equal(await cache.get(key), null);
      assert.equal(events.length, 1);
    }
  });

  test("leaves a cache alone after five faults in a row, then has one caller try it again", async () => {
    let isBroken = true;
    const { cache, events, time, calls } = guard({
      get: async () => {
        if (isBroken) throw new Error("down");
        return clean;
      },
    });
    for (let index = 0; index < 4; index += 1) await cache.get(key);
    await cache.get(key);
    assert.equal(events.length, 5);
    assert.match(JSON.stringify(events.at(-1)), /left alone for 5000 ms/);
    await cache.get(key);
    await cache.set(key, clean, 60);
    time.advance(4999);
    await cache.get(key);
    assert.deepEqual([calls(), events.length], [5, 5]);

    time.advance(1);
    await Promise.all([cache.get(key), cache.get(key), cache.set(key, clean, 60)]);
    assert.deepEqual([calls(), events.length], [6, 6]);

    isBroken = false;
    time.advance(5000);
    assert.deepEqual(await cache.get(key), clean);
    assert.deepEqual(await Promise.all([cache.get(key), cache.get(key)]), [clean, clean]);
  });

  test("is degraded while it leaves the cache alone, and otherwise as the cache is", async () => {
    let isBroken = true;
    let health: "ok" | "degraded" = "ok";
    const { cache, time } = guard({
      get: async () => {
        if (isBroken) throw new Error("down");
        return null;
      },
      health: () => health,
    });
    for (let index = 0; index < 4; index += 1) await cache.get(key);
    assert.equal(cache.health?.(), "ok");
    await cache.get(key);
    assert.equal(cache.health?.(), "degraded");
    time.advance(5000);
    assert.equal(cache.health?.(), "degraded");
    isBroken = false;
    await cache.get(key);
    assert.equal(cache.health?.(), "ok");
    health = "degraded";
    assert.equal(cache.health?.(), "degraded");
    assert.equal(guard({}).cache.health?.(), "ok");
  });

  test("starts counting again after a success", async () => {
    let turn = 0;
    const { cache, calls } = guard({
      get: async () => {
        turn += 1;
        if (turn % 5 !== 0) throw new Error("mostly down");
        return null;
      },
    });
    for (let index = 0; index < 30; index += 1) await cache.get(key);
    assert.equal(calls(), 30);
  });

  test("closes the cache once, and neither throws nor waits for ever", async () => {
    const broken = guard({ close: () => Promise.reject(new Error("stuck")) });
    await broken.cache.close();
    assert.deepEqual(broken.events, [{ kind: "cache-failed", operation: "close", detail: "stuck" }]);

    const hanging = guard({ close: () => new Promise(() => {}) });
    const closing = Promise.all([hanging.cache.close(), hanging.cache.close()]);
    hanging.time.advance(2000);
    await closing;
    assert.deepEqual([hanging.calls(), hanging.events.length], [1, 1]);
    assert.equal(await hanging.cache.get(key), null);
    assert.equal(hanging.calls(), 1);
  });
});

describe("noCache", () => {
  test("remembers nothing", async () => {
    const cache = noCache<Verdict>();
    await cache.set(key, clean, 60);
    assert.equal(await cache.get(key), null);
    await cache.close();
  });
});

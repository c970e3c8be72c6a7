import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { memoryCache } from "../../src/cache/memory-cache.ts";
import { describeVerdictCache } from "../contract/verdict-cache.ts";
import { ManualTime } from "./manual-time.ts";

describeVerdictCache("memoryCache", async () => {
  const time = new ManualTime();
  const cache = memoryCache({ maxEntries: 1000, clock: time.clock });
  return { cache, advance: (ms) => time.advance(ms), faults: [], [Symbol.asyncDispose]: () => cache.close() };
});

describe("memoryCache", () => {
  test("forgets the verdict not asked for the longest when it is full", async () => {
    const cache = memoryCache({ maxEntries: 2, clock: new ManualTime().clock });
    const one = { sha256: "1".repeat(64), tag: "t" };
    const two = { sha256: "2".repeat(64), tag: "t" };
    const three = { sha256: "3".repeat(64), tag: "t" };
    await cache.set(one, { kind: "clean" }, 60);
    await cache.set(two, { kind: "clean" }, 60);
    await cache.get(one);
    await cache.set(three, { kind: "clean" }, 60);
    const found = await Promise.all([one, two, three].map((key) => cache.get(key)));
    assert.deepEqual(
      found.map((verdict) => verdict !== null),
      [true, false, true],
    );
    await cache.close();
  });
});

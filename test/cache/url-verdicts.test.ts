import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseUrlRecord, type UrlRecord } from "../../src/cache/cacheable.ts";
import { type LocalStore, memoryFront, urlVerdicts } from "../../src/cache/memory-front.ts";
import { SqliteStore } from "../../src/cache/sqlite/store.ts";
import type { UrlVerdict } from "../../src/core/verdict-cache.ts";

const address = "a".repeat(64);
const clean: UrlVerdict = { verdict: { kind: "clean" }, sha256: "b".repeat(64), size: 5 };
const infected: UrlVerdict = { verdict: { kind: "infected", signatures: ["X"] }, sha256: "c".repeat(64), size: 68 };
const clock = () => performance.now();

const makers: Readonly<Record<string, (directory: string) => LocalStore<UrlRecord> | null>> = {
  memory: () => null,
  SQLite: (directory) =>
    new SqliteStore(parseUrlRecord, { path: join(directory, "urls"), maxEntries: 10, emit: () => {}, clock, now: Date.now }),
};

describe("urlVerdicts", () => {
  for (const [name, make] of Object.entries(makers)) {
    test(`remembers, replaces and forgets in ${name}`, async () => {
      const directory = await mkdtemp(join(tmpdir(), "clamgate-urls-"));
      const front = memoryFront(parseUrlRecord, { store: make(directory), maxEntries: 10, clock, now: Date.now });
      const cache = urlVerdicts(front);
      try {
        const key = { address, tag: "t" };
        assert.equal(cache.peek(key), null);
        cache.set(key, clean, 60);
        assert.deepEqual(cache.peek(key), clean);
        assert.equal(cache.peek({ address, tag: "newer" }), null, "new signatures end it");
        cache.set(key, infected, 60);
        assert.deepEqual(cache.peek(key), infected);
        cache.delete(key);
        assert.equal(cache.peek(key), null);
        cache.set(key, clean, 60);
        assert.deepEqual(cache.peek(key), clean);
      } finally {
        await cache.close();
        await rm(directory, { recursive: true });
      }
    });
  }

  test("takes nothing for a record that is none", () => {
    const { verdict, sha256, size } = clean;
    const wrong = [
      null,
      {},
      { known: {} },
      { known: { verdict, sha256 } },
      { known: { verdict, sha256: "b", size } },
      { known: { verdict, sha256, size: -1 } },
      { known: { verdict, sha256, size: 1.5 } },
      { known: { verdict: { kind: "clear" }, sha256, size } },
      clean,
    ];
    for (const value of wrong) assert.equal(parseUrlRecord(value), null, JSON.stringify(value));
    assert.deepEqual(parseUrlRecord({ known: clean }), { known: clean });
  });
});

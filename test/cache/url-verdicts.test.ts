import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { memoryCacheOf } from "../../src/cache/memory-cache.ts";
import { sqliteCacheOf } from "../../src/cache/sqlite/store.ts";
import { parseUrlRecord, type UrlRecord, urlVerdictCache } from "../../src/cache/url-verdicts.ts";
import type { Cache, UrlVerdict } from "../../src/core/verdict-cache.ts";

const address = "a".repeat(64);
const clean: UrlVerdict = { verdict: { kind: "clean" }, sha256: "b".repeat(64), size: 5 };
const infected: UrlVerdict = { verdict: { kind: "infected", signatures: ["X"] }, sha256: "c".repeat(64), size: 68 };
const clock = () => performance.now();

const makers: Readonly<Record<string, (directory: string) => Cache<UrlRecord>>> = {
  memory: () => memoryCacheOf(parseUrlRecord, { maxEntries: 10, clock }),
  SQLite: (directory) =>
    sqliteCacheOf(parseUrlRecord, {
      path: join(directory, "urls.sqlite"),
      maxEntries: 10,
      emit: () => {},
      clock,
      now: Date.now,
    }),
};

describe("urlVerdictCache", () => {
  for (const [name, make] of Object.entries(makers)) {
    test(`remembers, replaces and forgets in ${name}`, async () => {
      const directory = await mkdtemp(join(tmpdir(), "clamgate-urls-"));
      const cache = urlVerdictCache(make(directory));
      try {
        const key = { address, tag: "t" };
        assert.equal(await cache.get(key), null);
        await cache.set(key, clean, 60);
        assert.deepEqual(await cache.get(key), clean);
        assert.equal(await cache.get({ address, tag: "newer" }), null, "new signatures end it");
        await cache.set(key, infected, 60);
        assert.deepEqual(await cache.get(key), infected);
        await cache.delete(key);
        assert.equal(await cache.get(key), null);
        await cache.set(key, clean, 60);
        assert.deepEqual(await cache.get(key), clean);
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

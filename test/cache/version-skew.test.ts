/** Gateways of several releases on one store: what one has written, another one reads as it was meant, or not at all. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { cacheable, keyId, parseStored, parseUrlRecord, parseVerdict, storedText } from "../../src/cache/cacheable.ts";
import { redisCache } from "../../src/cache/redis/cache.ts";
import { SqliteStore } from "../../src/cache/sqlite/store.ts";
import { VerdictFile } from "../../src/cache/sqlite/verdict-file.ts";
import { engineTag } from "../../src/clamd/proof.ts";
import { coverage, type Verdict } from "../../src/core/verdict.ts";
import { type LiveRedis, startRedis, untilTrue } from "../live/redis.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { olderReleases } from "./older-releases.ts";

const key = { sha256: "5e".repeat(32), tag: "the same by chance" };
const id = keyId(key) ?? "";
const verdicts: readonly Verdict[] = [
  { kind: "clean" },
  { kind: "infected", signatures: ["Eicar-Test-Signature"] },
  { kind: "unscannable", reason: "encrypted", heuristic: "Heuristics.Encrypted.Zip" },
];
const records = [{ known: null }, ...verdicts.map((verdict) => ({ known: { verdict, sha256: key.sha256, size: 5 } }))];
const clock = () => performance.now();

for (const older of olderReleases) {
  describe(`a gateway and one of ${older.name}`, () => {
    test("read nothing of each other's, even under one key", () => {
      for (const value of verdicts) {
        assert.equal(older.read(id, older.write(id, value)), value.kind, "it reads its own");
        assert.equal(parseStored(older.write(id, value), id, parseVerdict), null, `its ${value.kind} is read`);
        assert.deepEqual(parseStored(storedText(id, value), id, parseVerdict), value);
        assert.equal(older.read(id, storedText(id, value) ?? ""), null, `our ${value.kind} is read by it`);
      }
      for (const record of records) {
        assert.equal(parseStored(older.write(id, record), id, parseUrlRecord), null);
        assert.deepEqual(parseStored(storedText(id, record), id, parseUrlRecord), record);
        assert.equal(older.read(id, storedText(id, record) ?? ""), null);
      }
    });

    test("have other keys for the same engine", () => {
      const engine = { engine: "1.4.6", database: 27001, databaseDate: "Thu Nov 20 10:13:12 2025" };
      for (const [theirs, ours] of [
        ["given", '["10.0.0.2:3310"] [[],[]]'],
        ["MaxFileSize=1", "MaxFileSize=1 [[],[]]"],
      ] as const)
        assert.notEqual(older.tag({ ...engine, limits: theirs }), engineTag({ ...engine, epoch: "", limits: ours }));
    });

    test("on one verdict file: a miss, and the next verdict is read back", async () => {
      await using directory = await scratchDirectory();
      const path = join(directory.path, "verdicts");
      const options = { path, maxEntries: 100, emit: () => {}, clock, now: Date.now };
      new SqliteStore(parseVerdict, options).close();
      const file = new VerdictFile(path);
      file.put({ ...key, verdict: older.write(id, { kind: "clean" }), storedAt: Date.now(), expiresAt: Date.now() + 60_000 });
      file.close();
      const store = new SqliteStore(parseVerdict, options);
      assert.equal(store.get(key), null);
      const entry = cacheable(key, { kind: "infected", signatures: ["New"] }, 60, parseVerdict);
      assert.ok(entry !== null);
      store.set(key, entry);
      store.close();
      const again = new SqliteStore(parseVerdict, options);
      assert.deepEqual(again.get(key)?.value, { kind: "infected", signatures: ["New"] });
      again.close();
      const left = new VerdictFile(path);
      assert.equal(older.read(id, String(left.find(key.sha256, key.tag)?.verdict)), null, "the older one misses it");
      left.close();
    });
  });
}

describe("gateways of several releases on one redis", () => {
  let redis: LiveRedis;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis[Symbol.asyncDispose]());

  test("miss each other's verdicts", async () => {
    const place = { kind: "standalone", host: redis.host, port: redis.port } as const;
    const cache = redisCache(parseVerdict, {
      target: { place, username: null, password: null, database: 0, tls: null },
      emit: () => {},
      clock,
    });
    try {
      const name = `clamgate:2:${id}`;
      await untilTrue(() => cache.health() === "ok");
      await cache.set(key, { kind: "clean" }, 60);
      const ours = String(await redis.command("GET", name));
      for (const older of olderReleases) {
        assert.equal(older.read(id, ours), null);
        await redis.command("SET", name, older.write(id, { kind: "clean" }));
        assert.equal(await cache.get(key), null);
      }
    } finally {
      await cache.close();
    }
  });
});

describe("a gateway and one that is to come", () => {
  const whole = { format: 2, logic: coverage, key: id, value: { kind: "clean" } };

  test("read nothing of a format, a logic, a field or a kind that is not known", () => {
    assert.deepEqual(parseStored(JSON.stringify(whole), id, parseVerdict), { kind: "clean" });
    const later = [
      { ...whole, format: 3 },
      { ...whole, logic: coverage + 1 },
      { ...whole, onlyFor: "some" },
      { ...whole, value: { kind: "clean", onlyFor: "some" } },
      { ...whole, value: { kind: "clean with a reservation" } },
      { ...whole, value: { kind: "unscannable", reason: "a new one", heuristic: null } },
    ];
    for (const text of later.map((value) => JSON.stringify(value))) assert.equal(parseStored(text, id, parseVerdict), null, text);
    const known = { verdict: { kind: "clean" }, sha256: key.sha256, size: 5 };
    for (const value of [
      { known, onlyFor: "some" },
      { known: { ...known, onlyFor: "some" } },
      { known: { ...known, verdict: { kind: "clean", onlyFor: "some" } } },
    ])
      assert.equal(parseUrlRecord(value), null, JSON.stringify(value));
    assert.notEqual(parseUrlRecord({ known }), null);
  });
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { KnownDigests } from "../../../src/cache/sqlite/known-digests.ts";
import { openVerdictFile, type VerdictFile } from "../../../src/cache/sqlite/verdict-file.ts";
import { ManualTime } from "../manual-time.ts";

const stepMs = 10;

function digestOf(index: number): string {
  return createHash("sha256").update(String(index)).digest("hex");
}

describe("KnownDigests", () => {
  let directory: string;
  let path: string;
  let file: VerdictFile;
  let time: ManualTime;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "clamgate-"));
    path = join(directory, "verdicts");
    time = new ManualTime();
    const opened = openVerdictFile(path, () => {});
    assert.notEqual(opened, null);
    if (opened !== null) file = opened;
  });

  afterEach(async () => {
    file.close();
    assert.equal(time.waiting, 0);
    await rm(directory, { recursive: true });
  });

  function put(from: number, to: number, known?: KnownDigests): void {
    file.transact(() => {
      for (let index = from; index < to; index += 1) {
        known?.add(digestOf(index));
        file.put({ sha256: digestOf(index), tag: "t", verdict: "", storedAt: 0, expiresAt: 1 });
      }
    });
  }

  function open(): KnownDigests {
    return new KnownDigests({ file, clock: time.clock, timers: time });
  }

  function maybe(known: KnownDigests, from: number, to: number): number {
    let count = 0;
    for (let index = from; index < to; index += 1) if (known.mayHave(digestOf(index))) count += 1;
    return count;
  }

  /** What another process would do. */
  function write(statement: string): void {
    const database = new DatabaseSync(path);
    database.exec(statement);
    database.close();
  }

  test("has no digest of an empty file, and those that are added", () => {
    const known = open();
    assert.equal(maybe(known, 0, 1000), 0);
    put(0, 1000, known);
    assert.equal(maybe(known, 0, 1000), 1000);
    assert.equal(maybe(known, 1000, 11_000) < 10, true);
  });

  test("reads a file in steps, may have any digest until it has read all, and misses none that is written meanwhile", () => {
    put(0, 1200);
    const known = open();
    time.advance(stepMs);
    assert.equal(maybe(known, 5000, 6000), 1000);
    put(1200, 1400, known);
    for (let step = 0; step < 3; step += 1) time.advance(stepMs);
    assert.equal(maybe(known, 0, 1400), 1400);
    assert.equal(maybe(known, 5000, 15_000) < 10, true);
  });

  test("may have any digest for a minute after another process wrote, then those that are there", () => {
    const known = open();
    put(0, 100, known);
    assert.equal(maybe(known, 100, 200), 0);
    write("UPDATE verdicts SET expires_at = 2");
    time.advance(25);
    assert.equal(maybe(known, 100, 200), 100);
    put(100, 200, known);
    time.advance(59_999);
    assert.equal(maybe(known, 200, 300), 100);
    time.advance(1);
    assert.deepEqual([maybe(known, 0, 200), maybe(known, 200, 300)], [200, 0]);
  });

  test("notices what another process wrote between two writes of its own", () => {
    const known = open();
    write("DELETE FROM verdicts; PRAGMA user_version = 2");
    put(0, 100, known);
    time.advance(25);
    assert.equal(maybe(known, 100, 200), 100);
  });

  test("may have any digest of a file that is cut or has lost its table", async () => {
    const known = open();
    put(0, 100, known);
    write("DROP TABLE verdicts");
    assert.equal(maybe(known, 100, 200), 100);
    time.advance(60_000);
    assert.equal(maybe(known, 100, 200), 100, "its keys cannot be read");
    await truncate(path, 0);
    time.advance(60_000);
    assert.equal(maybe(known, 100, 200), 100);
  });

  test("begins anew when it is full, and misses none", () => {
    const known = open();
    for (let index = 0; index < 100_000; index += 10_000) put(index, index + 10_000, known);
    for (let step = 0; time.waiting > 0 && step < 1000; step += 1) time.advance(stepMs);
    assert.equal(maybe(known, 0, 100_000), 100_000);
    assert.equal(maybe(known, 100_000, 110_000) < 50, true);
  });
});

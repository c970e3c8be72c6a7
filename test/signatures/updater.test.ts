import assert from "node:assert/strict";
import { appendFile, mkdir, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Epochs } from "../../src/signatures/epochs.ts";
import { writeTestSignatures } from "../../src/signatures/test-set.ts";
import { container, textSignature, writeFiles } from "./scratch.ts";
import { firstUpdateMs, noNetwork, ran, until, updaterStage } from "./updater-stage.ts";

const builtAt = new Date("2026-11-22T08:00:00Z");
const one = { "own.ndb": textSignature("One", "aaaaaaaa") };

describe("keepSignatures: start", () => {
  test("loads what is there before freshclam runs, and tells of it", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, { ...one, "daily.cvd": container(27001, builtAt) });
    const updater = await stage.updater();
    await updater.start();
    const status = updater.status();
    assert.deepEqual(stage.loads, [status.set?.id]);
    assert.equal(stage.runs.length, 0);
    assert.deepEqual([status.isTestOnly, status.builtAt, status.loadedAt], [false, builtAt, new Date(stage.time.now())]);
    assert.deepEqual([status.lastAttempt, status.lastSuccess, status.updates], [null, null, "on"]);
    assert.deepEqual(stage.events, [{ kind: "signatures-loaded", set: status.set?.id, files: 2, isTestOnly: false, seconds: 0 }]);
    stage.time.advance(0);
    await until("freshclam ran in the background", () => updater.status().lastSuccess !== null);
  });

  test("waits for the first update where nothing is there", async (t) => {
    const stage = await updaterStage(t);
    stage.freshclam = async () => {
      await writeFiles(stage.database, one);
      return ran(0, "own.ndb updated (version: custom database, sigs: 1)");
    };
    const updater = await stage.updater({ fallbackDirectory: stage.fallback });
    await updater.start();
    assert.equal(updater.status().isTestOnly, false);
    assert.equal(updater.status().lastAttempt?.outcome, "updated");
    assert.deepEqual(
      stage.events.map(({ kind }) => kind),
      ["signatures-checked", "signatures-loaded"],
    );
  });

  test("falls back to the test signatures where nothing can be had, and lets real ones take over", async (t) => {
    const stage = await updaterStage(t);
    stage.freshclam = () => noNetwork;
    const updater = await stage.updater({ fallbackDirectory: stage.fallback });
    await updater.start();
    assert.equal(updater.status().isTestOnly, true);
    assert.equal(await (await stage.epochs()).lastGood(), null, "test signatures are no refuge for a later start");
    assert.deepEqual(await readdir(stage.database), []);
    await writeFiles(stage.database, one);
    await stage.poll();
    await stage.poll();
    assert.equal(updater.status().isTestOnly, false);
    assert.equal((await stage.kept()).length, 1);
  });

  test("does not wait longer than asked for a slow first update, which goes on", async (t) => {
    const stage = await updaterStage(t);
    const { promise, resolve } = Promise.withResolvers<void>();
    stage.freshclam = async ({ signal }) => {
      await promise;
      assert.equal(signal.aborted, false);
      await writeFiles(stage.database, one);
      return ran(0, "own.ndb updated (version: custom database, sigs: 1)");
    };
    const updater = await stage.updater({ fallbackDirectory: stage.fallback });
    const started = updater.start();
    await until("freshclam runs", () => stage.runs.length === 1);
    stage.time.advance(firstUpdateMs - 1);
    assert.equal(updater.status().set, null);
    stage.time.advance(1);
    await started;
    assert.equal(updater.status().isTestOnly, true);
    resolve();
    await until("the real ones are loaded", () => updater.status().isTestOnly === false && updater.status().lastSuccess !== null);
  });

  test("loads nothing in production where nothing can be had", async (t) => {
    const stage = await updaterStage(t);
    stage.freshclam = () => noNetwork;
    const updater = await stage.updater();
    await updater.start();
    assert.equal(updater.status().set, null);
    assert.deepEqual(stage.loads, []);
  });

  test("refuses a directory of test signatures in production, once", async (t) => {
    const stage = await updaterStage(t);
    await writeTestSignatures(stage.database);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    await stage.poll();
    await stage.poll();
    assert.equal(updater.status().set, null);
    assert.deepEqual(
      stage.events.map((event) => (event.kind === "signatures-rejected" ? event.reason : event.kind)),
      ["there are only the built-in test signatures in it"],
    );
  });

  test("makes a directory that is missing, where freshclam is to fill it", async (t) => {
    const stage = await updaterStage(t);
    await rm(stage.database, { recursive: true });
    const updater = await stage.updater({ directory: join(stage.database, "deep") });
    await updater.start();
    assert.equal(stage.runs.length, 1);
    assert.deepEqual(await readdir(stage.database), ["deep"]);
    assert.equal(updater.status().updates, "on");
  });

  test("leaves a directory that cannot be there at all to its operator", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, { file: "" });
    const updater = await stage.updater({ directory: join(stage.database, "file", "below") });
    await updater.start();
    assert.equal(stage.runs.length, 0);
    assert.equal(updater.status().updates, "read-only");
  });

  test("waits for a directory that is missing, where freshclam is off", async (t) => {
    const stage = await updaterStage(t);
    await rm(stage.database, { recursive: true });
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    await stage.poll();
    await mkdir(stage.database);
    await writeFiles(stage.database, one);
    await stage.poll();
    await stage.poll();
    assert.equal(stage.loads.length, 1);
  });

  for (const [name, spoil] of [
    ["does not load", (path: string) => writeFile(join(path, "own.ndb"), "rubbish")],
    ["is gone", (path: string) => rm(join(path, "own.ndb"))],
  ] as const) {
    test(`falls back to the last good set when the newest ${name}`, async (t) => {
      const stage = await updaterStage(t);
      await writeFiles(stage.database, one);
      const before = await stage.updater({ checksPerDay: 0 });
      await before.start();
      const good = before.status().set?.id;
      await before.close();
      await spoil(stage.database);
      stage.engine = ({ id }) =>
        id === good ? { ok: true, faults: [] } : { ok: false, reason: "Malformed database", blame: "set" };
      const after = await stage.updater({ fallbackDirectory: stage.fallback });
      await after.start();
      assert.equal(after.status().set?.id, good);
      assert.equal(after.status().isTestOnly, false);
      assert.equal(await readFile(join((await stage.epochs()).currentPath, "own.ndb"), "latin1"), one["own.ndb"]);
    });
  }

  test("tells that what it uses is of an earlier start, perhaps of another directory, until there is something else", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const before = await stage.updater({ checksPerDay: 0 });
    await before.start();
    await before.close();
    const other = join(stage.database, "..", "other");
    await mkdir(other);
    const after = await stage.updater({ directory: other, checksPerDay: 0 });
    await after.start();
    const reason = `there are no signatures in ${other}; those of an earlier start are used`;
    assert.ok(stage.events.some((event) => event.kind === "notice" && event.level === "error" && event.message === reason));
    assert.deepEqual(after.status().keptOut, [{ file: null, reason }]);
    await writeFiles(other, { "other.ndb": textSignature("Other", "bbbbbbbb") });
    await stage.poll();
    await stage.poll();
    assert.deepEqual(after.status().keptOut, []);
  });

  test("says after a failure when freshclam is tried again", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    stage.freshclam = () => noNetwork;
    const updater = await stage.updater();
    await updater.checkNow();
    const at = new Date(stage.time.now() + 132_000).toISOString().slice(0, 16);
    const notices = stage.events.flatMap((event) => (event.kind === "notice" ? [event.message] : []));
    assert.deepEqual(notices, [`freshclam is tried again in 3 min, at ${at}Z`]);
  });

  test("does not trust a last good set that was altered", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const before = await stage.updater({ checksPerDay: 0 });
    await before.start();
    await before.close();
    await rm(join(stage.database, "own.ndb"));
    await appendFile(join((await stage.epochs()).currentPath, "own.ndb"), "more\n");
    const after = await stage.updater({ checksPerDay: 0 });
    await after.start();
    assert.equal(after.status().set, null);
  });

  test("gives a set the same id after a restart", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    for (let start = 0; start < 2; start++) {
      const updater = await stage.updater({ checksPerDay: 0 });
      await updater.start();
      await updater.close();
      await utimes(join(stage.database, "own.ndb"), start, start);
    }
    assert.equal(stage.loads.length, 2);
    assert.equal(new Set(stage.loads).size, 1);
  });
});

describe("keepSignatures: close", () => {
  test("ends a running freshclam and leaves no timer", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    stage.freshclam = ({ signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const updater = await stage.updater();
    await updater.start();
    const checking = updater.checkNow();
    await until("freshclam runs", () => stage.runs.length === 1);
    await updater.close();
    assert.equal(await checking, null);
    assert.deepEqual(stage.time.waits(), []);
    assert.deepEqual(
      stage.events.map(({ kind }) => kind),
      ["signatures-loaded"],
    );
    assert.equal(await updater.checkNow(), null);
    assert.equal(stage.runs.length, 1);
  });

  test("ends a start that waits for its first update", async (t) => {
    const stage = await updaterStage(t);
    stage.freshclam = ({ signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const updater = await stage.updater({ fallbackDirectory: stage.fallback });
    const started = updater.start();
    await until("freshclam runs", () => stage.runs.length === 1);
    await updater.close();
    await started;
    assert.deepEqual(stage.time.waits(), []);
    assert.deepEqual(stage.loads, []);
  });

  test("asks the engine for nothing when the set is ready only then", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const epochs = await stage.epochs();
    const { promise, resolve } = Promise.withResolvers<void>();
    let isPreparing = false;
    const prepare: Epochs["prepare"] = async (set) => {
      isPreparing = true;
      await promise;
      return epochs.prepare(set);
    };
    const updater = await stage.updater({ checksPerDay: 0, epochs: { ...epochs, prepare } });
    const started = updater.start();
    await until("the set is being prepared", () => isPreparing);
    const closing = updater.close();
    resolve();
    await Promise.all([started, closing]);
    assert.deepEqual([stage.loads, stage.events, await stage.kept()], [[], [], []]);
    assert.deepEqual(stage.time.waits(), []);
  });

  test("waits for a load that is under way", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const { promise, resolve } = Promise.withResolvers<void>();
    stage.engine = () => promise.then(() => ({ ok: true, faults: [] }));
    const updater = await stage.updater({ checksPerDay: 0 });
    const started = updater.start();
    await until("the engine loads", () => stage.loads.length === 1);
    let isClosed = false;
    const closing = updater.close().then(() => {
      isClosed = true;
    });
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    assert.equal(isClosed, false);
    resolve();
    await Promise.all([started, closing]);
    assert.deepEqual(stage.time.waits(), []);
  });
});

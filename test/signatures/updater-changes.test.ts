import assert from "node:assert/strict";
import { appendFile, chmod, rm, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { readSignatureSet } from "../../src/signatures/signature-set.ts";
import { writeTestSignatures } from "../../src/signatures/test-set.ts";
import { textSignature, unprivileged, writeFiles } from "./scratch.ts";
import { noNetwork, nothingNew, pollMs, ran, type UpdaterStage, until, updaterStage } from "./updater-stage.ts";

const one = { "own.ndb": textSignature("One", "aaaaaaaa") };
const two = { "own.ndb": textSignature("Two", "bbbbbbbb") };
const hour = 3_600_000;

describe("keepSignatures: watching the directory", () => {
  test("loads a change at the second look that sees it the same", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    await stage.poll();
    await writeFiles(stage.database, two);
    await stage.poll();
    assert.equal(stage.loads.length, 1);
    await stage.poll();
    assert.equal(stage.loads.length, 2);
    assert.ok(3 * pollMs < 60_000, "noticed within a minute");
    assert.equal(updater.status().set?.id, (await readSignatureSet(stage.database)).id);
    assert.deepEqual(await stage.kept(), [updater.status().set?.id]);
  });

  test("loads a change a second after it is told to, and nothing where there is none", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    await updater.loadNow();
    assert.equal(stage.loads.length, 1);
    await writeFiles(stage.database, two);
    await whileASecondPasses(stage, updater.loadNow());
    assert.equal(stage.loads.length, 2);
    for (let look = 0; look < 3; look++) await stage.poll();
    assert.equal(stage.loads.length, 2);
  });

  test("does not load a copy in progress when it is told to load, but later, by itself", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    await writeFiles(stage.database, two);
    const loading = updater.loadNow();
    await until("it waits", () => stage.time.waits().includes(1_000));
    await appendFile(join(stage.database, "own.ndb"), textSignature("Part", "cccccccc"));
    stage.time.advance(1_000);
    await loading;
    assert.equal(stage.loads.length, 1);
    for (let look = 0; look < 2; look++) await stage.poll();
    assert.equal(stage.loads.length, 2);
    assert.equal(updater.status().set?.id, (await readSignatureSet(stage.database)).id);
  });

  test("keeps what it has where it is told to load and the directory is gone, or once it is closed", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    await rm(stage.database, { recursive: true });
    await whileASecondPasses(stage, updater.loadNow());
    assert.equal(stage.loads.length, 1);
    assert.notEqual(updater.status().set, null);
    await updater.close();
    await updater.loadNow();
    assert.equal(stage.loads.length, 1);
    assert.deepEqual(stage.time.waits(), []);
  });

  test("ends a load that it was told of when it is closed meanwhile", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    await writeFiles(stage.database, two);
    const loading = updater.loadNow();
    await until("it waits", () => stage.time.waits().includes(1_000));
    await updater.close();
    await loading;
    assert.equal(stage.loads.length, 1);
    assert.deepEqual(stage.time.waits(), []);
  });

  test("does not load a copy in progress", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    await (await stage.updater({ checksPerDay: 0 })).start();
    for (let part = 0; part < 5; part++) {
      await appendFile(join(stage.database, "big.ndb"), textSignature(`Part-${part}`, "cccccccc"));
      await stage.poll();
    }
    assert.equal(stage.loads.length, 1);
    await stage.poll();
    assert.equal(stage.loads.length, 2);
  });

  test("does not load the same content again for a new time", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    await (await stage.updater({ checksPerDay: 0 })).start();
    await utimes(join(stage.database, "own.ndb"), 1, 1);
    for (let look = 0; look < 3; look++) await stage.poll();
    assert.equal(stage.loads.length, 1);
  });

  test("keeps the old set when the new one does not load, and asks again only for other content", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    const good = updater.status().set?.id;
    stage.engine = () => ({ ok: false, reason: "Malformed database", blame: "set" });
    await writeFiles(stage.database, { "bad.ndb": "rubbish" });
    for (let look = 0; look < 4; look++) await stage.poll();
    await utimes(join(stage.database, "bad.ndb"), 1, 1);
    for (let look = 0; look < 4; look++) await stage.poll();
    assert.equal(stage.loads.length, 2);
    assert.equal(updater.status().set?.id, good);
    assert.deepEqual(stage.events.at(-1), { kind: "signatures-rejected", set: stage.loads[1], reason: "Malformed database" });
    assert.deepEqual(await stage.kept(), [good]);
    assert.equal((await (await stage.epochs()).current())?.id, good);

    stage.engine = () => ({ ok: true, faults: [] });
    await writeFiles(stage.database, { "bad.ndb": textSignature("Better", "dddddddd") });
    for (let look = 0; look < 2; look++) await stage.poll();
    assert.equal(stage.loads.length, 3);
    assert.notEqual(updater.status().set?.id, good);
  });

  test("asks again for a refused set when its detached signature arrives", async (t) => {
    const stage = await updaterStage(t);
    stage.engine = () => ({ ok: false, reason: "no signature", blame: "set" });
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    stage.engine = () => ({ ok: true, faults: [] });
    await writeFiles(stage.database, { "own-1.cvd.sign": "signed" });
    for (let look = 0; look < 2; look++) await stage.poll();
    assert.equal(stage.loads.length, 2);
    assert.equal(updater.status().set?.id, stage.loads[0]);
  });

  test("tries again when the engine was away, and complains once", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    stage.engine = () => ({ ok: false, reason: "clamd is starting", blame: "engine" });
    await updater.start();
    for (let look = 0; look < 3; look++) await stage.poll();
    const complaints = stage.events.length;
    assert.equal(complaints, 1);
    stage.engine = () => {
      throw new Error("a fault of ours");
    };
    await stage.poll();
    stage.engine = () => ({ ok: true, faults: [] });
    await stage.poll();
    assert.equal(updater.status().set?.id, stage.loads[0]);
    assert.ok(stage.events.every(({ kind }) => kind !== "signatures-rejected"));
  });

  test("tries a set again that has cost the engine, after pauses that grow; the old one stays meanwhile", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    const good = updater.status().set?.id;
    stage.engine = () => ({ ok: false, reason: "killed by SIGKILL", blame: "unclear" });
    await writeFiles(stage.database, two);
    await stage.poll();
    const startedAt = stage.time.now();
    const triedAt: number[] = [];
    for (let look = 0; look < 100; look++) {
      const before = stage.loads.length;
      await stage.poll();
      if (stage.loads.length > before) triedAt.push((stage.time.now() - startedAt) / pollMs);
      // The same files written anew are no reason to try them sooner.
      if (look === 10) await utimes(join(stage.database, "own.ndb"), 1, 1);
    }
    const [second, minute] = [2, 60_000 / pollMs];
    assert.deepEqual(triedAt, [1, second, second + minute, second + 5 * minute, second + 21 * minute]);
    assert.equal(updater.status().set?.id, good);
    assert.equal((await (await stage.epochs()).current())?.id, good);
    const told = stage.events
      .slice(1)
      .map((event) => (event.kind === "notice" ? event.message.replace(/^signatures \S+ /, "") : event.kind));
    const again = (seconds: string) => `could not be loaded, to be tried again${seconds}: killed by SIGKILL`;
    assert.deepEqual(told, ["", " in 60 s", " in 240 s", " in 960 s", " in 3840 s"].map(again));

    stage.engine = () => ({ ok: true, faults: [] });
    for (let look = 0; look < 64 * minute; look++) await stage.poll();
    assert.equal(stage.loads.length, 1 + triedAt.length + 1);
    assert.notEqual(updater.status().set?.id, good);
  });

  test("tries another set at once, whatever the one before has cost", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    stage.engine = () => ({ ok: false, reason: "killed by SIGKILL", blame: "unclear" });
    await writeFiles(stage.database, two);
    for (let look = 0; look < 4; look++) await stage.poll();
    assert.equal(stage.loads.length, 3);
    stage.engine = () => ({ ok: true, faults: [] });
    await writeFiles(stage.database, { "own.ndb": textSignature("Three", "eeeeeeee") });
    for (let look = 0; look < 2; look++) await stage.poll();
    assert.equal(stage.loads.length, 4);
    assert.equal(updater.status().set?.id, stage.loads[3]);
  });

  test("keeps what is loaded when the directory is emptied or removed, and says so once", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    await rm(join(stage.database, "own.ndb"));
    for (let look = 0; look < 3; look++) await stage.poll();
    await rm(stage.database, { recursive: true });
    for (let look = 0; look < 3; look++) await stage.poll();
    assert.equal(stage.loads.length, 1);
    assert.equal(updater.status().set?.id, stage.loads[0]);
    assert.equal(stage.events.filter(({ kind }) => kind === "notice").length, 1);
  });

  test("does not replace real signatures by the test signatures", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater({ checksPerDay: 0, fallbackDirectory: stage.fallback });
    await updater.start();
    await rm(join(stage.database, "own.ndb"));
    await writeTestSignatures(stage.database);
    for (let look = 0; look < 3; look++) await stage.poll();
    assert.equal(updater.status().isTestOnly, false);
    assert.equal(stage.events.at(-1)?.kind, "signatures-rejected");
  });

  test("names a file that may not be read, once, and goes on when it may", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    await chmod(join(stage.database, "own.ndb"), 0o000);
    const updater = await stage.updater({ checksPerDay: 0 });
    // The epochs are to be ours when we are nobody, too.
    await chmod(join(dirname(stage.database), "epochs"), 0o777);
    await unprivileged(async () => {
      await updater.start();
      for (let look = 0; look < 3; look++) await stage.poll();
    });
    assert.equal(updater.status().set, null);
    const told = stage.events.filter(({ kind }) => kind === "signature-file-kept-out");
    assert.equal(told.length, 1);
    assert.match(JSON.stringify(told), /own\.ndb.*EACCES/);
    await chmod(join(stage.database, "own.ndb"), 0o644);
    for (let look = 0; look < 2; look++) await stage.poll();
    assert.equal(stage.loads.length, 1);
  });
});

describe("keepSignatures: updates", () => {
  test("never runs freshclam when there are to be no checks", async (t) => {
    const stage = await updaterStage(t);
    const updater = await stage.updater({ checksPerDay: 0 });
    await updater.start();
    assert.equal(await updater.checkNow(), null);
    stage.time.advance(48 * hour);
    assert.equal(stage.runs.length, 0);
    assert.equal(updater.status().updates, "off");
  });

  test("never runs freshclam on a directory that cannot be written, but loads from it", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater();
    await chmod(join(dirname(stage.database), "epochs"), 0o777);
    await chmod(stage.database, 0o555);
    await unprivileged(async () => {
      await updater.start();
      assert.equal(await updater.checkNow(), null);
    });
    await chmod(stage.database, 0o755);
    assert.equal(stage.runs.length, 0);
    assert.equal(updater.status().updates, "read-only");
    assert.equal(stage.loads.length, 1);
    assert.ok(
      stage.time.waits().some((ms) => ms > hour),
      "it looks again whether it is writable, without haste",
    );
  });

  test("checks on the schedule", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater();
    await updater.start();
    await updater.checkNow();
    assert.deepEqual(stage.time.waits(), [pollMs, 2 * hour]);
    stage.freshclam = () => noNetwork;
    await updater.checkNow();
    await updater.checkNow();
    assert.deepEqual(updater.status().lastAttempt?.outcome, "failed");
    assert.notEqual(updater.status().lastSuccess, null);
    assert.equal(Math.round((stage.time.waits()[1] ?? 0) / 60_000), 4);
    stage.freshclam = () => nothingNew;
    await updater.checkNow();
    assert.deepEqual(stage.time.waits(), [pollMs, 2 * hour]);
  });

  test("waits for the end of a cool-down", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater();
    await updater.start();
    const until = new Date(stage.time.now() + 24 * hour);
    const local = new Date(until.getTime() - until.getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace("T", " ");
    stage.freshclam = () => ran(17, "FreshClam received error code 403 from", `You are on cool-down until after: ${local}`);
    assert.equal((await updater.checkNow())?.outcome, "blocked");
    assert.deepEqual(updater.status().lastAttempt?.coolDownUntil, until);
    assert.ok((stage.time.waits()[1] ?? 0) >= 24 * hour);
    stage.freshclam = () =>
      ran(0, "FreshClam previously received error code 429 or 403", `You are still on cool-down until after: ${local}`);
    assert.equal((await updater.checkNow())?.outcome, "blocked");
  });

  test("loads what an update brought, at once", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const updater = await stage.updater();
    await updater.start();
    stage.freshclam = async () => {
      await writeFiles(stage.database, two);
      return ran(0, "own.ndb updated (version: custom database, sigs: 1)");
    };
    await updater.checkNow();
    assert.equal(stage.loads.length, 2);
    assert.equal(updater.status().set?.id, stage.loads[1]);
  });

  test("fails the check, not the gateway, when freshclam cannot be run", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    stage.freshclam = () => {
      throw new Error("spawn freshclam ENOENT");
    };
    const updater = await stage.updater();
    await updater.start();
    const attempt = await updater.checkNow();
    assert.equal(attempt?.outcome, "failed");
    assert.match(attempt.detail, /cannot be run: spawn freshclam ENOENT/);
  });

  test("never loads while freshclam runs, nor runs freshclam twice at once", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    let active = 0;
    const alone = async <T>(result: T): Promise<T> => {
      assert.equal(++active, 1);
      for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
      active--;
      return result;
    };
    stage.engine = () => alone({ ok: true, faults: [] } as const);
    stage.freshclam = () => alone(nothingNew);
    const updater = await stage.updater();
    await updater.start();
    await stage.poll();
    for (let turn = 0; turn < 4; turn++) {
      await writeFiles(stage.database, turn % 2 === 0 ? two : one);
      const checks = [updater.checkNow(), updater.checkNow()];
      stage.time.advance(pollMs);
      stage.time.advance(pollMs);
      await Promise.all(checks);
    }
    assert.equal(
      stage.events.filter((event) => event.kind === "signatures-checked" && event.outcome === "up-to-date").length,
      stage.runs.length,
    );
    assert.equal(stage.loads.length, 5);
  });
});

async function whileASecondPasses({ time }: UpdaterStage, work: Promise<void>): Promise<void> {
  await until("it waits", () => time.waits().includes(1_000));
  time.advance(1_000);
  await work;
}

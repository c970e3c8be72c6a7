/** Files that do not load: told by name, and no hindrance to the others. */

import assert from "node:assert/strict";
import { chmod, rm, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { SignatureSet } from "../../src/signatures/signature-set.ts";
import { container, textSignature, unprivileged, writeFiles } from "./scratch.ts";
import { type UpdaterStage, updaterStage } from "./updater-stage.ts";

const one = { "own.ndb": textSignature("One", "aaaaaaaa") };
const later = { "later.ndb": textSignature("Later", "bbbbbbbb") };
const rubbish = { "bad.ndb": "rubbish" };
const gibibyte = 1024 ** 3;

/** As clamd does, it stops at the first file that does not load, and names it. */
async function refusing(t: TestContext, isBad: (file: SignatureSet["files"][number]) => boolean): Promise<UpdaterStage> {
  const stage = await updaterStage(t);
  stage.engine = ({ files }) => {
    const bad = files.find(isBad);
    if (bad === undefined) return { ok: true, faults: [] };
    return { ok: false, blame: "set", file: bad.name, reason: "Malformed database" };
  };
  return stage;
}

const isNamedBad = ({ name }: { readonly name: string }) => name.startsWith("bad");

async function started(stage: UpdaterStage) {
  const updater = await stage.updater({ checksPerDay: 0 });
  await updater.start();
  return {
    files: () => updater.status().set?.files.map(({ name }) => name),
    keptOut: () => updater.status().keptOut,
    updater,
  };
}

/** A change is handled at the second look that finds it the same. */
async function handled(stage: UpdaterStage): Promise<void> {
  for (let look = 0; look < 3; look += 1) await stage.poll();
}

describe("keepSignatures: a file that does not load", () => {
  test("is named for as long as it lies there, while those beside it and after it are loaded", async (t) => {
    const stage = await refusing(t, isNamedBad);
    await writeFiles(stage.database, one);
    const { files, keptOut } = await started(stage);
    assert.deepEqual(keptOut(), []);

    await writeFiles(stage.database, { ...rubbish, ...later });
    await handled(stage);
    assert.deepEqual(files(), ["later.ndb", "own.ndb"]);
    assert.deepEqual(keptOut(), [{ file: "bad.ndb", reason: "Malformed database" }]);
    assert.deepEqual(
      stage.events.filter(({ kind }) => kind === "signature-file-kept-out"),
      [{ kind: "signature-file-kept-out", file: "bad.ndb", reason: "Malformed database" }],
    );

    const loads = stage.loads.length;
    await writeFiles(stage.database, { "third.ndb": textSignature("Third", "cccccccc") });
    await handled(stage);
    assert.equal(stage.loads.length, loads + 1, "the bad file is not tried again");
    assert.deepEqual(files(), ["later.ndb", "own.ndb", "third.ndb"]);
    assert.equal(keptOut().length, 1);

    await rm(join(stage.database, "bad.ndb"));
    await handled(stage);
    assert.deepEqual(keptOut(), []);
    assert.deepEqual(stage.events.at(-1), {
      kind: "notice",
      level: "info",
      message: "bad.ndb keeps no signatures out any more",
    });
  });

  test("is taken up when it is mended", async (t) => {
    const stage = await refusing(t, ({ size }) => size === rubbish["bad.ndb"].length);
    await writeFiles(stage.database, { ...one, ...rubbish });
    const { files, keptOut } = await started(stage);
    assert.equal(keptOut().length, 1);
    await writeFiles(stage.database, { "bad.ndb": textSignature("Mended", "dddddddd") });
    await handled(stage);
    assert.deepEqual([files(), keptOut()], [["bad.ndb", "own.ndb"], []]);
  });

  test("is found among several, each by its name", async (t) => {
    const stage = await refusing(t, isNamedBad);
    await writeFiles(stage.database, { ...one, ...rubbish, "bad.hdb": "rubbish too", "bad.ldb": "and this", ...later });
    const { files, keptOut } = await started(stage);
    assert.deepEqual(files(), ["later.ndb", "own.ndb"]);
    assert.deepEqual(
      keptOut().map(({ file }) => file),
      ["bad.hdb", "bad.ldb", "bad.ndb"],
    );
  });

  test("leaves in use what was loaded of the same database before, under either of its names", async (t) => {
    const stage = await refusing(t, ({ header }) => header?.version === 3);
    await writeFiles(stage.database, { ...one, "daily.cvd": container(2, new Date("2026-11-22T08:00:00Z")) });
    const { files, keptOut, updater } = await started(stage);
    await rm(join(stage.database, "daily.cvd"));
    await writeFiles(stage.database, { ...later, "daily.cld": container(3, new Date("2026-11-23T08:00:00Z")) });
    await handled(stage);
    assert.deepEqual(files(), ["daily.cvd", "later.ndb", "own.ndb"]);
    assert.equal(updater.status().set?.daily?.version, 2);
    assert.deepEqual(keptOut(), [{ file: "daily.cld", reason: "Malformed database" }]);
    await writeFiles(stage.database, { "daily.cld": container(4, new Date("2026-11-24T08:00:00Z")) });
    await handled(stage);
    assert.deepEqual([files(), keptOut()], [["daily.cld", "later.ndb", "own.ndb"], []]);
  });

  test("leaves so, after a restart too, what an earlier start had loaded", async (t) => {
    const stage = await refusing(t, ({ header }) => header?.version === 3);
    await writeFiles(stage.database, { ...one, "daily.cvd": container(2, new Date("2026-11-22T08:00:00Z")) });
    await (await started(stage)).updater.close();
    await writeFiles(stage.database, { "daily.cvd": container(3, new Date("2026-11-23T08:00:00Z")) });
    const { keptOut, updater } = await started(stage);
    assert.equal(updater.status().set?.daily?.version, 2);
    assert.deepEqual(keptOut(), [{ file: "daily.cvd", reason: "Malformed database" }]);
  });

  test("makes nothing ready where it is an official database and no earlier one is there", async (t) => {
    for (const name of ["daily.cvd", "main.cld"]) {
      const stage = await refusing(t, ({ header }) => header?.version === 3);
      await writeFiles(stage.database, { ...one, [name]: container(3, new Date("2026-11-23T08:00:00Z")) });
      const { files, keptOut } = await started(stage);
      assert.equal(files(), undefined);
      assert.deepEqual(keptOut(), [
        { file: name, reason: "Malformed database" },
        { file: null, reason: `it is of little use without ${name}` },
      ]);
      await writeFiles(stage.database, { [name]: container(4, new Date("2026-11-24T08:00:00Z")) });
      await handled(stage);
      assert.deepEqual([files()?.sort(), keptOut()], [[name, "own.ndb"].sort(), []]);
    }
  });

  test("does not take away what is loaded when nothing else is there", async (t) => {
    const stage = await refusing(t, isNamedBad);
    await writeFiles(stage.database, one);
    const { files, keptOut } = await started(stage);
    await rm(join(stage.database, "own.ndb"));
    await writeFiles(stage.database, rubbish);
    await handled(stage);
    assert.deepEqual(files(), ["own.ndb"]);
    assert.deepEqual(keptOut(), [
      { file: "bad.ndb", reason: "Malformed database" },
      { file: null, reason: "there are no usable signatures in it; new in it: bad.ndb" },
    ]);
  });

  test("may be too large, and is not even read then", async (t) => {
    for (const [size, isTooLarge] of [
      [gibibyte, false],
      [gibibyte + 1, true],
      [10 * gibibyte, true],
    ] as const) {
      const stage = await updaterStage(t);
      await writeFiles(stage.database, { ...one, "huge.ndb": "" });
      await truncate(join(stage.database, "huge.ndb"), size);
      const { files, keptOut } = await started(stage);
      assert.equal(files()?.includes("huge.ndb"), !isTooLarge);
      assert.deepEqual(keptOut(), isTooLarge ? [{ file: "huge.ndb", reason: `it has ${size} bytes, more than 1073741824` }] : []);
    }
  });

  test("may be unreadable, and is read when it can be", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, { ...one, ...later });
    for (const path of [stage.database, dirname(stage.database)]) await chmod(path, 0o777);
    await chmod(join(stage.database, "own.ndb"), 0);
    await unprivileged(async () => {
      const { files, keptOut } = await started(stage);
      assert.deepEqual(files(), ["later.ndb"]);
      assert.match(keptOut()[0]?.reason ?? "", /EACCES/);
      await chmodAsOwner(join(stage.database, "own.ndb"), 0o644);
      await handled(stage);
      assert.deepEqual([files(), keptOut()], [["later.ndb", "own.ndb"], []]);
    });
  });

  test("in part only is named though the set is loaded", async (t) => {
    const stage = await updaterStage(t);
    const fault = { file: "own.yar", reason: "line 1: undefined string" };
    stage.engine = ({ files }) => ({ ok: true, faults: files.some(({ name }) => name === "own.yar") ? [fault] : [] });
    await writeFiles(stage.database, { ...one, "own.yar": "rule x {}" });
    const { files, keptOut } = await started(stage);
    assert.deepEqual([files(), keptOut()], [["own.ndb", "own.yar"], [fault]]);
    await rm(join(stage.database, "own.yar"));
    await handled(stage);
    assert.deepEqual(keptOut(), []);
  });
});

describe("keepSignatures: a set that is kept out as a whole", () => {
  test("is told for as long as it is, whatever the reason", async (t) => {
    for (const blame of ["set", "engine", "unclear"] as const) {
      const stage = await updaterStage(t);
      await writeFiles(stage.database, one);
      const { keptOut } = await started(stage);
      stage.engine = () => ({ ok: false, blame, reason: "some reason" });
      await writeFiles(stage.database, later);
      for (let look = 0; look < 5; look += 1) await stage.poll();
      assert.deepEqual(keptOut(), [{ file: null, reason: "some reason; new in it: later.ndb" }], blame);
      stage.engine = () => ({ ok: true, faults: [] });
      await writeFiles(stage.database, { "third.ndb": textSignature("Third", "cccccccc") });
      await handled(stage);
      assert.deepEqual(keptOut(), [], blame);
    }
  });

  test("is told where an earlier one is in use since the start", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const first = await started(stage);
    const good = first.updater.status().set?.id;
    await first.updater.close();
    await writeFiles(stage.database, later);
    stage.engine = ({ id }) => (id === good ? { ok: true, faults: [] } : { ok: false, blame: "set", reason: "some reason" });
    const { files, keptOut } = await started(stage);
    assert.deepEqual([files(), keptOut()], [["own.ndb"], [{ file: null, reason: "some reason" }]]);
  });

  test("is told where the directory was lost", async (t) => {
    const stage = await updaterStage(t);
    await writeFiles(stage.database, one);
    const { keptOut } = await started(stage);
    await rm(stage.database, { recursive: true });
    await handled(stage);
    assert.match(keptOut()[0]?.reason ?? "", /there are no signatures in .* any more/);
  });
});

/** Undoes `unprivileged` for a moment. */
async function chmodAsOwner(path: string, mode: number): Promise<void> {
  const user = process.geteuid?.() ?? 0;
  if (process.getuid?.() === 0) process.seteuid?.(0);
  await chmod(path, mode);
  if (process.getuid?.() === 0) process.seteuid?.(user);
}

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openEpochs } from "../../src/signatures/epochs.ts";
import { linkOperations } from "../../src/signatures/link-file.ts";
import { readSignatureSet } from "../../src/signatures/signature-set.ts";
import { container, scratch, textSignature, writeFiles } from "./scratch.ts";

const builtAt = new Date("2026-11-22T08:00:00Z");
/** More than is copied, so that it is linked. */
const big = Buffer.concat([container(63, builtAt), Buffer.alloc(1 << 20, "x")]);

async function rooms(t: Parameters<typeof scratch>[0]): Promise<{ database: string; directory: string }> {
  const root = await scratch(t);
  await mkdir(join(root, "database"));
  return { database: join(root, "database"), directory: join(root, "epochs") };
}

const refusing = (code: string) => async () => {
  throw Object.assign(new Error(code), { code });
};

describe("openEpochs", () => {
  test("prepares a directory with the set's files, its companions and the canary", async (t) => {
    const { database, directory } = await rooms(t);
    await writeFiles(database, {
      "main.cvd": big,
      "own.ndb": textSignature("A", "aaaa"),
      "main-63.cvd.sign": "s",
      "notes.txt": "n",
    });
    const set = await readSignatureSet(database);
    const epoch = await (await openEpochs({ directory })).prepare(set);
    assert.equal(epoch.directory, join(directory, set.id));
    assert.deepEqual((await readdir(epoch.directory)).sort(), ["clamgate_epoch.ndb", "main-63.cvd.sign", "main.cvd", "own.ndb"]);
    assert.match(
      await readFile(join(epoch.directory, "clamgate_epoch.ndb"), "latin1"),
      new RegExp(`^Clamgate\\.Epoch\\.${set.id}:`),
    );
    assert.equal((await stat(join(epoch.directory, "main.cvd"))).ino, (await stat(join(database, "main.cvd"))).ino);
    assert.equal((await readSignatureSet(epoch.directory)).id, set.id);
  });

  test("keeps an epoch as it was when freshclam renames a new file into place, or a small one is written over", async (t) => {
    const { database, directory } = await rooms(t);
    await writeFiles(database, { "main.cvd": big, "own.ndb": textSignature("A", "aaaa") });
    const set = await readSignatureSet(database);
    const epoch = await (await openEpochs({ directory })).prepare(set);
    await writeFile(join(database, "next"), container(64, builtAt));
    await rename(join(database, "next"), join(database, "main.cvd"));
    await writeFile(join(database, "own.ndb"), "rubbish");
    assert.equal((await readSignatureSet(epoch.directory)).id, set.id);
  });

  for (const code of ["EXDEV", "EPERM", "EOPNOTSUPP"]) {
    test(`copies where hard links fail with ${code}: the original may be replaced`, async (t) => {
      const { database, directory } = await rooms(t);
      await writeFiles(database, { "main.cvd": big });
      const set = await readSignatureSet(database);
      const epochs = await openEpochs({ directory, operations: { ...linkOperations, link: refusing(code) } });
      const epoch = await epochs.prepare(set);
      await rm(join(database, "main.cvd"));
      assert.equal((await readSignatureSet(epoch.directory)).id, set.id);
    });
  }

  test("links what a symbolic link in the database leads to, not the link", async (t) => {
    const { database, directory } = await rooms(t);
    await mkdir(join(database, "..data"));
    await writeFiles(database, { "..data/main.cvd": big });
    await symlink(join("..data", "main.cvd"), join(database, "main.cvd"));
    const epoch = await (await openEpochs({ directory })).prepare(await readSignatureSet(database));
    await rm(join(database, "..data"), { recursive: true });
    assert.equal((await readFile(join(epoch.directory, "main.cvd"))).length, big.length);
  });

  test("fails and leaves nothing when the disk is full", async (t) => {
    const { database, directory } = await rooms(t);
    await writeFiles(database, { "a.ndb": textSignature("A", "aaaa"), "main.cvd": big });
    const epochs = await openEpochs({ directory, operations: { ...linkOperations, link: refusing("ENOSPC") } });
    await assert.rejects(epochs.prepare(await readSignatureSet(database)), { code: "ENOSPC" });
    assert.deepEqual(await readdir(directory), []);
  });

  for (const [name, content] of [
    ["own.ndb", textSignature("B", "bbbb")],
    ["main.cvd", Buffer.concat([big, big])],
  ] as const) {
    test(`refuses ${name} when it was replaced after it was hashed`, async (t) => {
      const { database, directory } = await rooms(t);
      await writeFiles(database, { "own.ndb": textSignature("A", "aaaa"), "main.cvd": big });
      const set = await readSignatureSet(database);
      await writeFile(join(database, name), content);
      const epochs = await openEpochs({ directory });
      await assert.rejects(epochs.prepare(set), new RegExp(`${name} changed`));
      assert.deepEqual(await readdir(directory), []);
    });
  }

  test("accepts a linked file whose inode moved, as on an overlay, when its content is the same", async (t) => {
    const { database, directory } = await rooms(t);
    await writeFiles(database, { "main.cvd": big });
    const set = await readSignatureSet(database);
    const copyUp = async (from: string, to: string): Promise<void> => linkOperations.copyFile(from, to);
    const epochs = await openEpochs({ directory, operations: { ...linkOperations, link: copyUp } });
    assert.equal((await epochs.prepare(set)).id, set.id);
  });

  test("prepares a set again over a damaged epoch of the same id", async (t) => {
    const { database, directory } = await rooms(t);
    await writeFiles(database, { "own.ndb": textSignature("A", "aaaa") });
    const set = await readSignatureSet(database);
    const epochs = await openEpochs({ directory });
    const { directory: path } = await epochs.prepare(set);
    await writeFiles(path, { "own.ndb": "rubbish", "more.ndb": "rubbish" });
    await epochs.prepare(set);
    assert.equal((await readSignatureSet(path)).id, set.id);
    assert.deepEqual(await readdir(directory), [set.id]);
  });

  test("turns the current link from one epoch to the next", async (t) => {
    const { database, directory } = await rooms(t);
    const epochs = await openEpochs({ directory });
    assert.equal(await epochs.current(), null);
    for (const name of ["A", "B"]) {
      await writeFiles(database, { "own.ndb": textSignature(name, "aaaa") });
      const epoch = await epochs.prepare(await readSignatureSet(database));
      await epochs.activate(epoch);
      assert.deepEqual(await epochs.current(), epoch);
      assert.equal(epochs.currentPath, join(directory, "current"));
      assert.equal(await readFile(join(epochs.currentPath, "own.ndb"), "latin1"), textSignature(name, "aaaa"));
    }
  });

  test("leads somewhere at every moment of a swap", async (t) => {
    const { database, directory } = await rooms(t);
    const epochs = await openEpochs({ directory });
    await writeFiles(database, { "own.ndb": "1" });
    const epoch = await epochs.prepare(await readSignatureSet(database));
    await epochs.activate(epoch);
    let isOver = false;
    const swapping = (async () => {
      for (let turn = 0; turn < 50; turn++) await epochs.activate(epoch);
      isOver = true;
    })();
    while (!isOver) assert.equal(await readFile(join(epochs.currentPath, "own.ndb"), "latin1"), "1");
    await swapping;
  });

  test("prunes all but what is kept and what is current", async (t) => {
    const { database, directory } = await rooms(t);
    const epochs = await openEpochs({ directory });
    const ids: string[] = [];
    for (const content of ["1", "2", "3"]) {
      await writeFiles(database, { "own.ndb": content });
      const epoch = await epochs.prepare(await readSignatureSet(database));
      ids.push(epoch.id);
      if (content === "1") await epochs.activate(epoch);
    }
    await writeFile(join(directory, "not-ours"), "x");
    await epochs.prune([ids[2] ?? ""]);
    assert.deepEqual((await readdir(directory)).sort(), [ids[0] ?? "", ids[2] ?? "", "current", "not-ours"].sort());
    assert.equal(await readFile(join(database, "own.ndb"), "latin1"), "3");
  });

  test("remembers the last good epoch across a restart, while it is there", async (t) => {
    const { database, directory } = await rooms(t);
    await writeFiles(database, { "own.ndb": "1" });
    const before = await openEpochs({ directory });
    assert.equal(await before.lastGood(), null);
    const epoch = await before.prepare(await readSignatureSet(database));
    await before.recordGood(epoch);
    const after = await openEpochs({ directory });
    assert.deepEqual(await after.lastGood(), epoch);
    await rm(epoch.directory, { recursive: true });
    assert.equal(await after.lastGood(), null);
  });

  for (const content of ["", "../../etc", "0123456789abcdef", "\0", "0123456789abcdef\nfedcba9876543210"]) {
    test(`finds no last good epoch in a record of ${JSON.stringify(content)}`, async (t) => {
      const { directory } = await rooms(t);
      const epochs = await openEpochs({ directory });
      await writeFile(join(directory, "last-good"), content);
      assert.equal(await epochs.lastGood(), null);
    });
  }

  test("wipes what a crash left half made, and nothing else", async (t) => {
    const { database, directory } = await rooms(t);
    await writeFiles(database, { "own.ndb": "1" });
    const before = await openEpochs({ directory });
    const epoch = await before.prepare(await readSignatureSet(database));
    await before.activate(epoch);
    await mkdir(join(directory, ".new-abc", epoch.id), { recursive: true });
    const after = await openEpochs({ directory });
    assert.deepEqual((await readdir(directory)).sort(), [epoch.id, "current"]);
    assert.deepEqual(await after.current(), epoch);
  });

  test("finds no current epoch where something else has that name", async (t) => {
    const { directory } = await rooms(t);
    const epochs = await openEpochs({ directory });
    await symlink("/etc", epochs.currentPath);
    assert.equal(await epochs.current(), null);
    await rm(epochs.currentPath);
    await writeFile(epochs.currentPath, "x");
    assert.equal(await epochs.current(), null);
  });
});

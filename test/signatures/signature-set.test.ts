import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, copyFile, mkdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readSignatureSet } from "../../src/signatures/signature-set.ts";
import { writeTestSignatures } from "../../src/signatures/test-set.ts";
import { container, scratch, textSignature, unprivileged, writeFiles } from "./scratch.ts";

const older = new Date("2026-11-20T08:00:00Z");
const newer = new Date("2026-11-22T08:00:00Z");

describe("readSignatureSet", () => {
  test("names a set by its content: the same in another place and at another time", async (t) => {
    const [one, two] = [await scratch(t), await scratch(t)];
    await writeFiles(one, { "own.ndb": textSignature("A", "aaaa"), "daily.cvd": container(27001, newer) });
    for (const name of ["daily.cvd", "own.ndb"]) await copyFile(join(one, name), join(two, name));
    await utimes(join(two, "own.ndb"), 1, 1);
    const [first, second] = [await readSignatureSet(one), await readSignatureSet(two)];
    assert.match(first.id, /^[0-9a-f]{16}$/);
    assert.equal(first.id, second.id);
  });

  test("gives another id to another byte, another name and another number of files", async (t) => {
    const directory = await scratch(t);
    const ids = new Set<string>();
    for (const files of [{ "a.ndb": "1" }, { "a.ndb": "2" }, { "a.hdb": "2" }, { "a.ndb": "2", "b.ndb": "" }, {}]) {
      await rm(directory, { recursive: true });
      await mkdir(directory);
      await writeFiles(directory, files);
      ids.add((await readSignatureSet(directory)).id);
    }
    assert.equal(ids.size, 5);
  });

  test("is not changed by the canary or by detached signatures", async (t) => {
    const directory = await scratch(t);
    await writeFiles(directory, { "own.ndb": "1" });
    const before = await readSignatureSet(directory);
    await writeFiles(directory, { "clamgate_epoch.ndb": "2", "daily-27001.cvd.sign": "3" });
    const after = await readSignatureSet(directory);
    assert.equal(after.id, before.id);
    assert.deepEqual(
      after.companions.map(({ name }) => name),
      ["daily-27001.cvd.sign"],
    );
  });

  test("reads the headers: the higher daily counts, and the newest build of all", async (t) => {
    const directory = await scratch(t);
    await writeFiles(directory, {
      "daily.cvd": container(27001, older),
      "daily.cld": container(27002, older),
      "main.cvd": container(63, newer),
      "broken.cud": "not a container",
      "own.ndb": container(1, newer),
    });
    const set = await readSignatureSet(directory);
    assert.deepEqual(set.daily, { version: 27002, builtAt: older });
    assert.deepEqual(set.newestBuiltAt, newer);
    assert.equal(set.files.find(({ name }) => name === "broken.cud")?.header, null);
    assert.equal(set.files.find(({ name }) => name === "own.ndb")?.header, null);
  });

  test("knows an empty directory and one with the test signatures only", async (t) => {
    const directory = await scratch(t);
    const empty = await readSignatureSet(directory);
    assert.deepEqual([empty.isEmpty, empty.isTestOnly, empty.daily, empty.newestBuiltAt], [true, false, null, null]);
    await writeTestSignatures(directory);
    assert.equal((await readSignatureSet(directory)).isTestOnly, true);
    await writeFile(join(directory, "own.ndb"), textSignature("A", "aaaa"));
    assert.equal((await readSignatureSet(directory)).isTestOnly, false);
  });

  test("hashes an empty file as it is: whether it loads is clamd's to say", async (t) => {
    const directory = await scratch(t);
    await writeFiles(directory, { "empty.ndb": "" });
    const [file] = (await readSignatureSet(directory)).files;
    assert.equal(file?.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test("does not wait for a FIFO", async (t) => {
    const directory = await scratch(t);
    execFileSync("mkfifo", [join(directory, "pipe.ndb")]);
    assert.equal((await readSignatureSet(directory)).isEmpty, true);
  });

  test("reads a file larger than its buffer whole", async (t) => {
    const directory = await scratch(t);
    await writeFiles(directory, { "big.hdb": Buffer.alloc((1 << 20) + 1, "a") });
    const [file] = (await readSignatureSet(directory)).files;
    const expected = execFileSync("sha256sum", [join(directory, "big.hdb")])
      .toString()
      .slice(0, 64);
    assert.equal(file?.sha256, expected);
  });

  test("leaves out the file that may not be read, and names it", async (t) => {
    const directory = await scratch(t);
    await writeFiles(directory, { "own.ndb": "1", "other.ndb": "2" });
    await chmod(join(directory, "own.ndb"), 0o000);
    const { files, unusable } = await unprivileged(() => readSignatureSet(directory));
    assert.deepEqual(
      files.map(({ name }) => name),
      ["other.ndb"],
    );
    assert.deepEqual(
      unusable.map(({ file }) => file),
      ["own.ndb"],
    );
    assert.match(unusable[0]?.reason ?? "", /EACCES/);
  });

  test("names the directory that is missing", async (t) => {
    const directory = join(await scratch(t), "missing");
    await assert.rejects(readSignatureSet(directory), /ENOENT.*missing/);
  });

  test("gives a whole set or a clear error while files are replaced and vanish under it", async (t) => {
    const directory = await scratch(t);
    const sizes = [10, 200_000];
    let isOver = false;
    const churn = (async () => {
      for (let turn = 0; !isOver; turn++) {
        await writeFile(join(directory, "a.hdb"), Buffer.alloc(sizes[turn % 2] ?? 0, "a"));
        await rm(join(directory, "b.hdb"), { force: true });
        await writeFile(join(directory, "b.hdb"), "b");
      }
    })();
    try {
      for (let read = 0; read < 50; read++) {
        await readSignatureSet(directory).then(
          ({ files }) => assert.ok(files.every(({ sha256 }) => sha256.length === 64)),
          (error) => assert.match(String(error), /keeps changing/),
        );
      }
    } finally {
      isOver = true;
      await churn;
    }
  });
});

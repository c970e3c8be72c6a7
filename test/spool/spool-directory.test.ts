import assert from "node:assert/strict";
import { chmod, mkdir, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { claimDirectory, spoolFileName } from "../../src/spool/spool-directory.ts";
import { type ScratchDirectory, scratchDirectory } from "../scratch-directory.ts";

const uniqueId = "0f8fad5b-d9cb-469f-a165-70867728950e";

describe("claimDirectory", () => {
  let scratch: ScratchDirectory;
  let directory: string;

  beforeEach(async () => {
    scratch = await scratchDirectory();
    directory = join(scratch.path, "one", "two");
  });

  afterEach(() => scratch[Symbol.asyncDispose]());

  async function modeOf(path: string): Promise<number> {
    return (await stat(path)).mode & 0o777;
  }

  test("makes a missing directory and its parents, for its owner alone", async () => {
    assert.deepEqual(await claimDirectory(directory), { path: directory, leftovers: 0 });
    assert.deepEqual([await modeOf(directory), await modeOf(join(directory, ".."))], [0o700, 0o700]);
  });

  test("makes an empty directory private", async () => {
    await mkdir(directory, { recursive: true });
    await chmod(directory, 0o777);
    await claimDirectory(directory);
    assert.equal(await modeOf(directory), 0o700);
  });

  test("removes the files an earlier gateway left", async () => {
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, spoolFileName(uniqueId)), "left");
    assert.equal((await claimDirectory(directory)).leftovers, 1);
    assert.deepEqual(await readdir(directory), []);
  });

  test("answers an absolute path without links", async () => {
    await mkdir(directory, { recursive: true });
    const link = join(scratch.path, "link");
    await symlink(directory, link);
    assert.equal((await claimDirectory(link)).path, directory);
    assert.equal((await claimDirectory(relative(process.cwd(), link))).path, directory);
  });

  test("refuses a directory with anything else in it, and touches neither that nor its mode", async () => {
    const name = spoolFileName(uniqueId);
    const foreign: readonly (readonly [string, (path: string) => Promise<unknown>])[] = [
      ["thesis.tex", (path) => writeFile(path, "years of work")],
      [`${name}.bak`, (path) => writeFile(path, "")],
      [name.toUpperCase(), (path) => writeFile(path, "")],
      ["body-", (path) => writeFile(path, "")],
      [spoolFileName(uniqueId.replaceAll("0", "1")), (path) => mkdir(path)],
      [spoolFileName(uniqueId.replaceAll("0", "2")), (path) => symlink("/dev/null", path)],
    ];
    for (const [index, [entry, make]] of foreign.entries()) {
      const place = join(scratch.path, `case-${index}`);
      await mkdir(place);
      await chmod(place, 0o755);
      await writeFile(join(place, name), "ours");
      await make(join(place, entry));
      await assert.rejects(claimDirectory(place), (thrown: Error) => thrown.message.includes(JSON.stringify(entry)));
      assert.deepEqual((await readdir(place)).sort(), [entry, name].sort());
      assert.equal(await modeOf(place), 0o755);
    }
  });

  test("refuses what is no directory, and what cannot be made", async () => {
    const file = join(scratch.path, "file");
    await writeFile(file, "");
    for (const path of [file, join(file, "below")]) {
      await assert.rejects(claimDirectory(path), { name: "ClamgateError", code: "internal" });
    }
  });
});

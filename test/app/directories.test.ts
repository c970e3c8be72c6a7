import assert from "node:assert/strict";
import { mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeDirectory } from "../../src/app/directories.ts";

describe("makeDirectory", () => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "clamgate-directories-"));
  });
  after(() => rm(directory, { recursive: true }));

  test("makes a directory and its parents with the mode that is asked for", async () => {
    await makeDirectory(join(directory, "a/b/c"), 0o700);
    for (const path of ["a", "a/b", "a/b/c"]) assert.equal((await stat(join(directory, path))).mode & 0o777, 0o700);
  });

  test("leaves one that is there as it is, also behind a link", async () => {
    await makeDirectory(join(directory, "there"), 0o755);
    await symlink("there", join(directory, "link"));
    for (const path of ["there", "link"]) await makeDirectory(join(directory, path), 0o700);
    assert.equal((await stat(join(directory, "there"))).mode & 0o777, 0o755);
    await makeDirectory("/");
  });

  test("is done when many ask for the same one at once", async () => {
    await Promise.all(Array.from({ length: 20 }, () => makeDirectory(join(directory, "x/y/z"))));
    assert.ok((await stat(join(directory, "x/y/z"))).isDirectory());
  });

  test("rejects where something else is in the way", async () => {
    await writeFile(join(directory, "file"), "");
    await symlink("nowhere", join(directory, "dangling"));
    await symlink("loop", join(directory, "loop"));
    for (const path of ["file", "file/a", "dangling", "loop/a"]) {
      await assert.rejects(makeDirectory(join(directory, path)), { code: path === "loop/a" ? "ELOOP" : "EEXIST" });
    }
  });

  test("rejects where nothing can be made, below /proc too", { skip: process.platform !== "linux" }, async () => {
    for (const path of ["/proc/clamgate", "/proc/clamgate/a/b"]) await assert.rejects(makeDirectory(path), { code: "ENOENT" });
  });
});

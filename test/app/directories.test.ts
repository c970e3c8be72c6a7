import assert from "node:assert/strict";
import { stat, symlink, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { makeDirectory } from "../../src/app/directories.ts";
import { suiteDirectory } from "../scratch-directory.ts";

describe("makeDirectory", () => {
  const directory = suiteDirectory();

  test("makes a directory and its parents with the mode that is asked for", async () => {
    await makeDirectory(directory.at("a/b/c"), 0o700);
    for (const path of ["a", "a/b", "a/b/c"]) assert.equal((await stat(directory.at(path))).mode & 0o777, 0o700);
  });

  test("leaves one that is there as it is, also behind a link", async () => {
    await makeDirectory(directory.at("there"), 0o755);
    await symlink("there", directory.at("link"));
    for (const path of ["there", "link"]) await makeDirectory(directory.at(path), 0o700);
    assert.equal((await stat(directory.at("there"))).mode & 0o777, 0o755);
    await makeDirectory("/");
  });

  test("is done when many ask for the same one at once", async () => {
    await Promise.all(Array.from({ length: 20 }, () => makeDirectory(directory.at("x/y/z"))));
    assert.ok((await stat(directory.at("x/y/z"))).isDirectory());
  });

  test("rejects where something else is in the way", async () => {
    await writeFile(directory.at("file"), "");
    await symlink("nowhere", directory.at("dangling"));
    await symlink("loop", directory.at("loop"));
    for (const path of ["file", "file/a", "dangling", "loop/a"]) {
      await assert.rejects(makeDirectory(directory.at(path)), { code: path === "loop/a" ? "ELOOP" : "EEXIST" });
    }
  });

  test("rejects where nothing can be made, below /proc too", { skip: process.platform !== "linux" }, async () => {
    for (const path of ["/proc/clamgate", "/proc/clamgate/a/b"]) await assert.rejects(makeDirectory(path), { code: "ENOENT" });
  });
});

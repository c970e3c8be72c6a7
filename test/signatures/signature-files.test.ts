import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, rename, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fingerprint, listSignatureFiles } from "../../src/signatures/signature-files.ts";
import { scratch, unprivileged, writeFiles } from "./scratch.ts";

describe("listSignatureFiles", () => {
  test("lists what clamd loads, in order, and detached signatures apart", async (t) => {
    const directory = await scratch(t);
    await writeFiles(directory, { "main.cvd": "m", "DAILY.CLD": "d", "a.ign2": "i", "b.yara": "y", "daily-1.cvd.sign": "s" });
    const listed = await listSignatureFiles(directory);
    assert.deepEqual(
      listed.map(({ name, isSignatures }) => [name, isSignatures]),
      [
        ["DAILY.CLD", true],
        ["a.ign2", true],
        ["b.yara", true],
        ["daily-1.cvd.sign", false],
        ["main.cvd", true],
      ],
    );
  });

  test("leaves out what is half written, foreign or ours", async (t) => {
    const directory = await scratch(t);
    await mkdir(join(directory, "tmp.0123abcdef"));
    await mkdir(join(directory, "folder.ndb"));
    await writeFiles(directory, {
      "tmp.0123abcdef/daily.cld": "x",
      ".daily.cvd.part.cvd": "x",
      "freshclam.dat": "x",
      "mirrors.dat": "x",
      ".dbLock": "x",
      "daily.cvd.lock": "x",
      "daily.cvd.part": "x",
      "README.txt": "x",
      "clamgate_epoch.ndb": "x",
      ndb: "x",
    });
    execFileSync("mkfifo", [join(directory, "pipe.ndb")]);
    await symlink("/dev/zero", join(directory, "device.ndb"));
    await symlink(join(directory, "nowhere"), join(directory, "dangling.ndb"));
    const names = (await listSignatureFiles(directory)).map(({ name }) => name);
    assert.deepEqual(names, []);
  });

  test("follows links, as Kubernetes mounts files", async (t) => {
    const directory = await scratch(t);
    await mkdir(join(directory, "..data"));
    await writeFile(join(directory, "..data", "own.ndb"), "12345");
    await symlink(join("..data", "own.ndb"), join(directory, "own.ndb"));
    assert.deepEqual(
      (await listSignatureFiles(directory)).map(({ name, size }) => [name, size]),
      [["own.ndb", 5]],
    );
  });
});

describe("fingerprint", () => {
  test("stays the same while nothing happens, and is empty for an empty or missing directory", async (t) => {
    const directory = await scratch(t);
    assert.equal(await fingerprint(directory), "");
    assert.equal(await fingerprint(join(directory, "missing")), "");
    await writeFiles(directory, { "own.ndb": "1" });
    assert.equal(await fingerprint(directory), await fingerprint(directory));
  });

  test("notices a file that comes, goes, is renamed or replaced", async (t) => {
    const directory = await scratch(t);
    const path = join(directory, "own.ndb");
    await writeFile(path, "1");
    const seen = new Set([await fingerprint(directory)]);
    await writeFile(join(directory, "more.hdb"), "1");
    seen.add(await fingerprint(directory));
    await rename(join(directory, "more.hdb"), join(directory, "less.hdb"));
    seen.add(await fingerprint(directory));
    await rename(join(directory, "less.hdb"), path);
    seen.add(await fingerprint(directory));
    assert.equal(seen.size, 4);
  });

  test("notices a file written in place that keeps its size and its time", async (t) => {
    const directory = await scratch(t);
    const path = join(directory, "own.ndb");
    await writeFile(path, "1");
    await utimes(path, 1, 1);
    const before = await fingerprint(directory);
    await writeFile(path, "2");
    await utimes(path, 1, 1);
    assert.notEqual(await fingerprint(directory), before);
  });

  test("rejects for a directory that may not be read", async (t) => {
    const directory = await scratch(t);
    await chmod(directory, 0o000);
    await unprivileged(() => assert.rejects(fingerprint(directory), { code: "EACCES" }));
    await chmod(directory, 0o755);
  });
});

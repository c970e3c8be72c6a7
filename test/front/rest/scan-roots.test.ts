import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, open, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../../src/core/errors.ts";
import { createScanRoots, type ScanRoots } from "../../../src/front/rest/scan-roots.ts";
import { scratchDirectory } from "./scratch-directory.ts";

async function refuses(roots: ScanRoots, path: string, code: ErrorCode): Promise<void> {
  await assert.rejects(roots.open(Buffer.from(path)), { name: "ClamgateError", code });
}

async function contentOf(roots: ScanRoots, path: string | Buffer): Promise<string> {
  const opened = await roots.open(Buffer.from(path));
  assert.equal(opened.kind, "file");
  if (opened.kind !== "file") return "";
  await using file = opened.file;
  return (await buffer(file.read())).toString();
}

describe("createScanRoots", () => {
  test("opens a file below a root", async () => {
    await using scratch = await scratchDirectory({ "in/a/b.txt": "inside" });
    assert.equal(await contentOf(createScanRoots([scratch.at("in")]), scratch.at("in/a/b.txt")), "inside");
  });

  test("reads files of any length, also none", async () => {
    const long = "x".repeat(200_001);
    await using scratch = await scratchDirectory({ "in/long": long, "in/empty": "" });
    const roots = createScanRoots([scratch.at("in")]);
    assert.equal(await contentOf(roots, scratch.at("in/long")), long);
    assert.equal(await contentOf(roots, scratch.at("in/empty")), "");
  });

  test("tells a directory from a file, the root included", async () => {
    await using scratch = await scratchDirectory({ "in/a/b.txt": "" });
    const roots = createScanRoots([scratch.at("in")]);
    for (const path of ["in", "in/", "in/a"]) assert.equal((await roots.open(Buffer.from(scratch.at(path)))).kind, "directory");
  });

  test("opens nothing without roots and names the variable", async () => {
    const roots = createScanRoots([]);
    await assert.rejects(roots.open(Buffer.from("/etc/passwd")), { code: "forbidden", publicMessage: /SCAN_PATH_ROOTS/ });
  });

  test("opens everything below the root directory itself when that is asked for", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    assert.equal(await contentOf(createScanRoots(["/"]), scratch.at("in/a")), "x");
  });

  test("takes a root that is written with dots, a slash at its end, or as a link", async () => {
    await using scratch = await scratchDirectory({ "real/a": "x" });
    await symlink(scratch.at("real"), scratch.at("link"));
    for (const root of ["real/", "x/../real", "./real", "link"]) {
      assert.equal(await contentOf(createScanRoots([`${scratch.path}/${root}`]), scratch.at("real/a")), "x", root);
    }
    assert.equal(await contentOf(createScanRoots([scratch.at("link")]), scratch.at("link/a")), "x");
  });

  test("keeps a neighbour with the same beginning out", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x", "inside/secret": "y" });
    await refuses(createScanRoots([scratch.at("in")]), scratch.at("inside/secret"), "forbidden");
  });

  test("does not tell what exists outside of the roots", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x", "out/secret": "y" });
    const roots = createScanRoots([scratch.at("in")]);
    for (const path of [scratch.at("out/secret"), scratch.at("out/nothing"), "/", `${scratch.path}/in/../out/secret`]) {
      await refuses(roots, path, "forbidden");
    }
  });

  test("follows dots and links that stay inside", async () => {
    await using scratch = await scratchDirectory({ "in/a/real": "x", "in/b/c": "" });
    await symlink("../a/real", scratch.at("in/b/link"));
    const roots = createScanRoots([scratch.at("in")]);
    assert.equal(await contentOf(roots, scratch.at("in/b/link")), "x");
    assert.equal(await contentOf(roots, `${scratch.path}/in/b/../a/./real`), "x");
  });

  test("refuses links that lead out, in the last place and on the way", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x", "out/secret": "y" });
    await symlink(scratch.at("out/secret"), scratch.at("in/file"));
    await symlink(scratch.at("out"), scratch.at("in/directory"));
    await symlink("../out", scratch.at("in/relative"));
    const roots = createScanRoots([scratch.at("in")]);
    for (const path of ["in/file", "in/directory", "in/directory/secret", "in/relative/secret"]) {
      await refuses(roots, scratch.at(path), "forbidden");
    }
    // Where dots follow a link, the text says inside and the disk says outside.
    await refuses(roots, `${scratch.path}/in/directory/../out/secret`, "forbidden");
  });

  test("calls missing, looping and unreachable paths not found", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    await symlink(scratch.at("in/loop"), scratch.at("in/loop"));
    const roots = createScanRoots([scratch.at("in")]);
    for (const path of ["in/nothing", "in/a/below-a-file", "in/loop", `in/${"n".repeat(300)}`, `in/${"d/".repeat(3000)}x`]) {
      await refuses(roots, scratch.at(path), "not-found");
    }
  });

  test("opens no FIFO, socket or device, and does not wait for them", { timeout: 10_000 }, async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    execFileSync("mkfifo", [scratch.at("in/fifo")]);
    const listener = createServer().listen(scratch.at("in/socket"));
    await new Promise((resolve) => listener.once("listening", resolve));
    const roots = createScanRoots([scratch.at("in"), "/dev"]);
    for (const path of [scratch.at("in/fifo"), scratch.at("in/socket"), "/dev/zero", "/dev/null"]) {
      await refuses(roots, path, "not-found");
    }
    await new Promise((resolve) => listener.close(resolve));
  });

  test("refuses CR, LF, NUL and relative paths as malformed", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    const roots = createScanRoots([scratch.at("in")]);
    for (const path of ["in/a\n", "in/a\r", "in/a\0b"]) await refuses(roots, `${scratch.path}/${path}`, "malformed");
    for (const path of ["a", "../a", "in/a"]) await refuses(roots, path, "malformed");
  });

  test("opens names that are not UTF-8", async () => {
    await using scratch = await scratchDirectory({ "in/a": "" });
    const path = Buffer.concat([Buffer.from(`${scratch.at("in")}/`), Buffer.from([0xff, 0xe4])]);
    await writeFile(path, "bytes");
    assert.equal(await contentOf(createScanRoots([scratch.at("in")]), path), "bytes");
  });

  test("reads on from the file it opened when its place is taken", async () => {
    await using scratch = await scratchDirectory({ "in/a": "old", "out/secret": "secret" });
    const opened = await createScanRoots([scratch.at("in")]).open(Buffer.from(scratch.at("in/a")));
    assert.equal(opened.kind, "file");
    if (opened.kind !== "file") return;
    await using file = opened.file;
    await rm(scratch.at("in/a"));
    await symlink(scratch.at("out/secret"), scratch.at("in/a"));
    assert.equal((await buffer(file.read())).toString(), "old");
  });

  test("never gives bytes from outside while a directory flips to a link and back", async () => {
    await using scratch = await scratchDirectory({ "in/d/f": "inside", "out/f": "secret" });
    await mkdir(scratch.at("park"));
    await symlink(scratch.at("out"), scratch.at("park/link"));
    const roots = createScanRoots([scratch.at("in")]);
    let isFlipping = true;
    const flipper = (async () => {
      while (isFlipping) {
        await rename(scratch.at("in/d"), scratch.at("park/d"));
        await rename(scratch.at("park/link"), scratch.at("in/d"));
        await rename(scratch.at("in/d"), scratch.at("park/link"));
        await rename(scratch.at("park/d"), scratch.at("in/d"));
      }
    })();
    for (let round = 0; round < 300; round += 1) {
      const content = await contentOf(roots, join(scratch.path, "in/d/f")).catch(() => "refused");
      assert.notEqual(content, "secret");
    }
    isFlipping = false;
    await flipper;
  });

  test("closes what it refuses", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    const roots = createScanRoots([scratch.at("in")]);
    await symlink(scratch.path, scratch.at("in/out"));
    execFileSync("mkfifo", [scratch.at("in/fifo")]);
    // The lowest free descriptor is the next one: it stays where it is as long as nothing is left open.
    const nextDescriptor = async () => {
      await using handle = await open(scratch.at("in/a"));
      return handle.fd;
    };
    const before = await nextDescriptor();
    for (let round = 0; round < 20; round += 1) {
      await refuses(roots, scratch.at("in/fifo"), "not-found");
      await refuses(roots, scratch.at("in/out/in/a/x"), "not-found");
      assert.equal(await contentOf(roots, scratch.at("in/a")), "x");
    }
    assert.equal(await nextDescriptor(), before);
  });
});

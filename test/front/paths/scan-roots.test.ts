import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { ClamgateError, type ErrorCode } from "../../../src/core/errors.ts";
import { createScanRoots, type ScanRoots } from "../../../src/front/paths/scan-roots.ts";
import { scratchDirectory } from "../../scratch-directory.ts";

async function refuses(roots: ScanRoots, path: string, code: ErrorCode): Promise<void> {
  await assert.rejects(roots.open(Buffer.from(path)), { name: "ClamgateError", code });
}

async function contentOf(roots: ScanRoots, path: string | Buffer, pause = async () => {}): Promise<string> {
  const opened = await roots.open(Buffer.from(path));
  assert.equal(opened.kind, "file");
  if (opened.kind !== "file") return "";
  await using file = opened.file;
  const pieces: string[] = [];
  for await (const piece of file.read()) {
    pieces.push(Buffer.from(piece).toString());
    await pause();
  }
  return pieces.join("");
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
      assert.deepEqual(await roots.open(Buffer.from(path)), { kind: "other" }, path);
    }
    await new Promise((resolve) => listener.close(resolve));
  });

  test("opens names with line ends", async () => {
    await using scratch = await scratchDirectory({ "in/a\r\nb": "bytes" });
    assert.equal(await contentOf(createScanRoots([scratch.at("in")]), scratch.at("in/a\r\nb")), "bytes");
  });

  test("refuses NUL and relative paths as malformed", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    const roots = createScanRoots([scratch.at("in")]);
    await refuses(roots, scratch.at("in/a\0b"), "malformed");
    for (const path of ["a", "../a", "in/a"]) await refuses(roots, path, "malformed");
  });

  test("opens names that are not UTF-8", async () => {
    await using scratch = await scratchDirectory({ "in/a": "" });
    const path = Buffer.concat([Buffer.from(`${scratch.at("in")}/`), Buffer.from([0xff, 0xe4])]);
    await writeFile(path, "bytes");
    assert.equal(await contentOf(createScanRoots([scratch.at("in")]), path), "bytes");
  });

  test("reads nothing but the file it opened when its place is taken, and says that it changed", async () => {
    await using scratch = await scratchDirectory({ "in/a": "old", "out/secret": "secret" });
    const opened = await createScanRoots([scratch.at("in")]).open(Buffer.from(scratch.at("in/a")));
    assert.equal(opened.kind, "file");
    if (opened.kind !== "file") return;
    await using file = opened.file;
    await rm(scratch.at("in/a"));
    await symlink(scratch.at("out/secret"), scratch.at("in/a"));
    const read: string[] = [];
    await assert.rejects(
      async () => {
        for await (const piece of file.read()) read.push(Buffer.from(piece).toString());
      },
      { code: "source-changed" },
    );
    assert.deepEqual(read, ["old"]);
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
      assert.equal((await roots.open(Buffer.from(scratch.at("in/fifo")))).kind, "other");
      await refuses(roots, scratch.at("in/out/in/a/x"), "not-found");
      assert.equal(await contentOf(roots, scratch.at("in/a")), "x");
    }
    assert.equal(await nextDescriptor(), before);
  });

  for (const [name, change] of [
    ["overwritten", (handle: FileHandle) => handle.write("y", 100_000)],
    ["longer", (handle: FileHandle) => handle.write("y", 200_000)],
    ["shorter", (handle: FileHandle) => handle.truncate(199_999)],
    [
      "overwritten and given its old times",
      async (handle: FileHandle) => {
        const { atime, mtime } = await handle.stat();
        await handle.write("y", 100_000);
        await handle.utimes(atime, mtime);
      },
    ],
  ] as const) {
    test(`does not read to its end a file that is ${name} meanwhile`, async () => {
      await using scratch = await scratchDirectory({ "in/a": "x".repeat(200_000) });
      const opened = await createScanRoots([scratch.at("in")]).open(Buffer.from(scratch.at("in/a")));
      assert.equal(opened.kind, "file");
      if (opened.kind !== "file") return;
      await using file = opened.file;
      const pieces = file.read()[Symbol.asyncIterator]();
      await pieces.next();
      await using handle = await open(scratch.at("in/a"), "r+");
      await change(handle);
      await assert.rejects(
        async () => {
          while (!(await pieces.next()).done);
        },
        { name: "ClamgateError", code: "source-changed" },
      );
    });
  }

  test("reads a file that was written this moment, and sees a change within the same tick of the clock", async () => {
    await using scratch = await scratchDirectory({ "in/a": "" });
    const roots = createScanRoots([scratch.at("in")]);
    for (let round = 0; round < 50; round += 1) {
      writeFileSync(scratch.at("in/a"), `round ${round}`);
      const opened = await roots.open(Buffer.from(scratch.at("in/a")));
      writeFileSync(scratch.at("in/a"), `other ${round}`);
      assert.equal(opened.kind, "file");
      if (opened.kind !== "file") return;
      await using file = opened.file;
      await assert.rejects(buffer(file.read()), { code: "source-changed" });
    }
    assert.equal(await contentOf(roots, scratch.at("in/a")), "other 49");
  });

  test("gives up a file that is written all the time, and one whose times lie ahead is read", async () => {
    await using scratch = await scratchDirectory({ "in/a": "x" });
    const roots = createScanRoots([scratch.at("in")]);
    const writing = setInterval(() => writeFileSync(scratch.at("in/a"), "y"), 1);
    try {
      await refuses(roots, scratch.at("in/a"), "source-changed");
    } finally {
      clearInterval(writing);
    }
    const ahead = new Date(Date.now() + 86_400_000);
    await utimes(scratch.at("in/a"), ahead, ahead);
    assert.equal(await contentOf(roots, scratch.at("in/a")), "y");
  });

  test("never gives a reading that is stitched together of two contents, whole as each of them is", async () => {
    const mark = "virus";
    const length = 2 * 65_536;
    const first = mark + "-".repeat(length - mark.length);
    const last = "-".repeat(length - mark.length) + mark;
    await using scratch = await scratchDirectory({ "in/a": first });
    const roots = createScanRoots([scratch.at("in")]);
    // Each content in one write(2), with pauses that let some readings through.
    const writer = new Worker(
      `const { workerData: { path, contents } } = require("node:worker_threads");
       const { openSync, writeSync } = require("node:fs");
       const descriptor = openSync(path, "r+");
       const pause = new Int32Array(new SharedArrayBuffer(4));
       for (let round = 0; ; round += 1) {
         writeSync(descriptor, contents[round % 2], 0);
         Atomics.wait(pause, 0, 0, Math.random() * 120);
       }`,
      { eval: true, workerData: { path: scratch.at("in/a"), contents: [last, first] } },
    );
    const readings = { whole: 0, refused: 0 };
    try {
      for (let round = 0; round < 200; round += 1) {
        const content = await contentOf(roots, scratch.at("in/a"), () => delay(10 * Math.random())).catch(
          (error: unknown) => error,
        );
        if (typeof content !== "string") {
          assert.ok(content instanceof ClamgateError && content.code === "source-changed", String(content));
          readings.refused += 1;
          continue;
        }
        assert.equal(content === first || content === last, true, "a stitched reading");
        readings.whole += 1;
      }
    } finally {
      await writer.terminate();
    }
    assert.equal(readings.whole > 0 && readings.refused > 0, true, JSON.stringify(readings));
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { relative } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type WalkLimits, walk } from "../../../src/front/paths/walk.ts";
import { type ScratchDirectory, scratchDirectory } from "../../scratch-directory.ts";

const { signal: live } = new AbortController();

async function seen(scratch: ScratchDirectory, limits: Partial<WalkLimits> = {}): Promise<string[]> {
  const found: string[] = [];
  for await (const walked of walk(Buffer.from(scratch.path), { maxDepth: 15, maxEntries: 1000, ...limits }, live)) {
    found.push(walked.kind === "limit" ? "limit" : `${walked.kind} ${relative(scratch.path, walked.path.toString("latin1"))}`);
  }
  return found;
}

describe("walk", () => {
  test("gives every file once, ordered by the bytes of the names", async () => {
    await using scratch = await scratchDirectory({ "b/2": "", "b/1": "", a: "", "c.txt": "", Z: "" });
    assert.deepEqual(await seen(scratch), ["file Z", "file a", "file b/1", "file b/2", "file c.txt"]);
  });

  test("gives nothing for an empty directory", async () => {
    await using scratch = await scratchDirectory({});
    assert.deepEqual(await seen(scratch), []);
  });

  test("passes over links and special files, so that a circle of links ends", async () => {
    await using scratch = await scratchDirectory({ "a/file": "" });
    await symlink(scratch.path, scratch.at("a/circle"));
    await symlink(scratch.at("a/file"), scratch.at("a/link"));
    execFileSync("mkfifo", [scratch.at("a/fifo")]);
    assert.deepEqual(await seen(scratch), ["file a/file"]);
  });

  test("says that there is more below its depth", async () => {
    await using scratch = await scratchDirectory({ "1/2/3/deep": "", "1/2/file": "" });
    assert.deepEqual(await seen(scratch, { maxDepth: 3 }), ["file 1/2/3/deep", "file 1/2/file"]);
    assert.deepEqual(await seen(scratch, { maxDepth: 2 }), ["limit", "file 1/2/file"]);
  });

  test("stops at its number of entries and says so, once", async () => {
    await using scratch = await scratchDirectory({ "d/a": "", "d/b": "", "d/c": "", "e/f": "" });
    assert.deepEqual(await seen(scratch, { maxEntries: 6 }), ["file d/a", "file d/b", "file d/c", "file e/f"]);
    assert.deepEqual(await seen(scratch, { maxEntries: 5 }), ["file d/a", "file d/b", "file d/c", "limit"]);
    assert.deepEqual(await seen(scratch, { maxEntries: 3 }), ["file d/a", "file d/b", "limit"]);
  });

  test("gives names that are not UTF-8 as they are", async () => {
    await using scratch = await scratchDirectory({});
    await writeFile(Buffer.concat([Buffer.from(`${scratch.path}/`), Buffer.from([0xff])]), "");
    assert.deepEqual(await seen(scratch), ["file \xff"]);
  });

  test("says of a directory that went away that it was not seen", async () => {
    await using scratch = await scratchDirectory({});
    const found = await Array.fromAsync(walk(Buffer.from(scratch.at("gone")), { maxDepth: 15, maxEntries: 10 }, live));
    assert.deepEqual(
      found.map(({ kind }) => kind),
      ["unreadable"],
    );
  });

  test("stops between two reads of a directory when it is called off", async () => {
    await using scratch = await scratchDirectory({ a: "", b: "" });
    const controller = new AbortController();
    const reason = new Error("called off");
    controller.abort(reason);
    const walking = walk(Buffer.from(scratch.path), { maxDepth: 15, maxEntries: 10 }, controller.signal);
    await assert.rejects(Array.fromAsync(walking), reason);
  });

  test("gives what it always gave of any tree, whatever the limit, and holds few names", async () => {
    const name = fc.string({ unit: fc.constantFrom("a", "b", "\xe9", "Z", "."), minLength: 1, maxLength: 3 });
    const tree = fc.uniqueArray(fc.tuple(name, fc.array(name, { maxLength: 3 })), { maxLength: 12, selector: ([top]) => top });
    await fc.assert(
      fc.asyncProperty(tree, fc.nat({ max: 20 }), async (tops, maxEntries) => {
        await using scratch = await scratchDirectory({});
        for (const [top, below] of tops) {
          if (/^\.+$/.test(top)) continue;
          const path = Buffer.concat([Buffer.from(`${scratch.path}/`), Buffer.from(top, "latin1")]);
          if (below.length === 0) await writeFile(path, "");
          else await mkdir(path);
          for (const each of below.filter((one) => !/^\.+$/.test(one))) {
            await writeFile(Buffer.concat([path, Buffer.from("/"), Buffer.from(each, "latin1")]), "");
          }
        }
        assert.deepEqual(await seen(scratch, { maxEntries }), plainWalk(scratch.path, maxEntries));
      }),
      { numRuns: 60 },
    );
  });
});

/** The same with everything held at once. */
function plainWalk(root: string, maxEntries: number): string[] {
  const found: string[] = [];
  let left = maxEntries;
  const below = (directory: Buffer, shown: string): boolean => {
    const entries = readdirSync(directory, { encoding: "buffer", withFileTypes: true });
    for (const entry of entries.sort((one, other) => Buffer.compare(one.name, other.name))) {
      if (left === 0) {
        found.push("limit");
        return false;
      }
      left -= 1;
      const name = shown + entry.name.toString("latin1");
      if (entry.isFile()) found.push(`file ${name}`);
      else if (!below(Buffer.concat([directory, Buffer.from("/"), entry.name]), `${name}/`)) return false;
    }
    return true;
  };
  below(Buffer.from(root), "");
  return found;
}

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openKeys } from "../../src/auth/keys.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { entryOf } from "./known-clients.ts";

const fileWith = (...entries: readonly unknown[]) => JSON.stringify({ keys: entries });

async function stage(text: string) {
  const directory = await scratchDirectory();
  const path = join(directory.path, "keys.json");
  await writeFile(path, text);
  const events: GatewayEvent[] = [];
  const keys = await openKeys({ path, emit: (event) => events.push(event) });
  return {
    directory: directory.path,
    path,
    keys,
    async events(): Promise<readonly GatewayEvent[]> {
      await keys.look();
      return events.splice(0);
    },
    knows: (...ids: readonly string[]) => ids.map((id) => keys.byId(id) !== null),
    async [Symbol.asyncDispose]() {
      keys.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe("openKeys", () => {
  test("takes up what is added, removed and changed, and tells of it once", async () => {
    await using one = await stage(fileWith(entryOf("aaaaaaaa"), entryOf("bbbbbbbb")));
    assert.deepEqual(await one.events(), []);
    await writeFile(one.path, fileWith(entryOf("bbbbbbbb", { scopes: ["status"] }), entryOf("cccccccc")));
    assert.deepEqual(await one.events(), [
      { kind: "keys-changed", added: ["cccccccc"], removed: ["aaaaaaaa"], changed: ["bbbbbbbb"] },
    ]);
    assert.deepEqual(one.knows("aaaaaaaa", "bbbbbbbb", "cccccccc"), [false, true, true]);
    await writeFile(one.path, fileWith(entryOf("bbbbbbbb", { scopes: ["status"] }), entryOf("cccccccc")).replace("[", "[\n"));
    assert.deepEqual(await one.events(), []);
  });

  test("looks by itself within 10 s", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    await using one = await stage(fileWith(entryOf("aaaaaaaa")));
    await writeFile(one.path, fileWith());
    t.mock.timers.tick(10_000);
    while (one.keys.byId("aaaaaaaa") !== null) await new Promise((resolve) => setImmediate(resolve));
  });

  for (const [name, spoil] of [
    ["cut off", (path: string) => writeFile(path, '{"keys":[{"id":"aaaa')],
    ["empty", (path: string) => writeFile(path, "")],
    ["gone", (path: string) => rm(path)],
    [
      "wrong in one entry",
      (path: string) => writeFile(path, fileWith(entryOf("bbbbbbbb"), entryOf("cccccccc", { scopes: ["all"] }))),
    ],
    ["a directory", (path: string) => rm(path).then(() => mkdir(path))],
    ["a link that leads nowhere", (path: string) => rm(path).then(() => symlink("/nowhere/keys", path))],
    ["a FIFO that nobody writes", (path: string) => rm(path).then(() => execFileSync("mkfifo", [path]))],
    ["a device without an end", (path: string) => rm(path).then(() => symlink("/dev/zero", path))],
    ["larger than any", (path: string) => writeFile(path, " ".repeat(16 * 1024 * 1024 + 1))],
  ] as const) {
    test(`keeps the entries of before where the file is ${name}`, async () => {
      await using one = await stage(fileWith(entryOf("aaaaaaaa")));
      await spoil(one.path);
      const first = await one.events();
      assert.deepEqual(
        first.map(({ kind }) => kind),
        ["key-file-failed"],
      );
      assert.deepEqual(
        (await one.events()).map((event) => "isRepeated" in event && event.isRepeated),
        [true],
      );
      assert.deepEqual(one.knows("aaaaaaaa", "bbbbbbbb"), [true, false]);
      await rm(one.path, { recursive: true, force: true });
      await writeFile(one.path, fileWith(entryOf("bbbbbbbb")));
      assert.deepEqual(
        (await one.events()).map(({ kind }) => kind),
        ["notice", "keys-changed"],
      );
      assert.deepEqual(one.knows("aaaaaaaa", "bbbbbbbb"), [false, true]);
    });
  }

  test("takes up a file that was put in the place of the old one, as a mounted secret is", async () => {
    await using one = await stage(fileWith(entryOf("aaaaaaaa")));
    const next = join(one.directory, "next");
    await writeFile(next, fileWith(entryOf("bbbbbbbb")));
    await rename(next, one.path);
    assert.deepEqual(
      (await one.events()).map(({ kind }) => kind),
      ["keys-changed"],
    );
  });

  test("does not begin with a file that is wrong, and shows nothing of it", async () => {
    await using directory = await scratchDirectory();
    const path = join(directory.path, "keys.json");
    const emit = () => assert.fail();
    await assert.rejects(openKeys({ path, emit }), /ENOENT/);
    await writeFile(path, '{"keys":[\n{"id":"aaaaaaaa","sha256":cgk_secret}]}');
    await assert.rejects(openKeys({ path, emit }), { message: "line 2 is not JSON" });
  });
});

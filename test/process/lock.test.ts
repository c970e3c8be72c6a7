import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { lockDirectory } from "../../src/process/lock.ts";
import { openStage, type Stage } from "./stage.ts";

const lockUrl = new URL("../../src/process/lock.ts", import.meta.url).href;

/** A gateway of its own: says `held` or why not, and keeps the lock until its input ends. */
async function startHolder(stage: Stage): Promise<{ said: string; pid: number; end(signal?: NodeJS.Signals): Promise<void> }> {
  const script = await stage.script(
    "holder.mjs",
    `import { lockDirectory } from "${lockUrl}";
    try {
      await lockDirectory(process.argv[2]);
      console.log("held");
      process.stdin.resume();
    } catch (error) {
      console.log(error.message);
    }`,
  );
  const child = spawn(process.execPath, [script, stage.directory], { stdio: ["pipe", "pipe", "inherit"] });
  const exit = once(child, "exit");
  const [said] = await once(createInterface({ input: child.stdout }), "line");
  return {
    said: String(said),
    pid: child.pid ?? 0,
    end: async (signal) => {
      if (signal === undefined) child.stdin.end();
      else child.kill(signal);
      await exit;
    },
  };
}

describe("lockDirectory", () => {
  test("holds a directory, made when missing, until it is released", async () => {
    await using stage = await openStage();
    const directory = join(stage.directory, "state", "deep");
    const first = await lockDirectory(directory);
    await assert.rejects(lockDirectory(directory), {
      message: `${directory} is in use by another gateway (process ${process.pid})`,
    });
    await first.release();
    const second = await lockDirectory(directory);
    await first.release();
    assert.deepEqual(await readdir(directory), ["gateway.lock"]);
    await second.release();
    assert.deepEqual(await readdir(directory), []);
  });

  test("names the living process that holds it, and takes over once that was killed", async () => {
    await using stage = await openStage();
    const holder = await startHolder(stage);
    assert.equal(holder.said, "held");
    try {
      await assert.rejects(lockDirectory(stage.directory), {
        message: `${stage.directory} is in use by another gateway (process ${holder.pid})`,
      });
    } finally {
      await holder.end("SIGKILL");
    }
    const lock = await lockDirectory(stage.directory);
    assert.equal(JSON.parse(await readFile(lock.path, "utf8")).pid, process.pid);
    await lock.release();
  });

  for (const [what, text] of [
    ["of a dead process", JSON.stringify({ pid: 2 ** 30, startTime: "x" })],
    ["of a process whose number was reused", JSON.stringify({ pid: process.pid, startTime: "an earlier one" })],
    ["that is empty", ""],
    ["that is garbage", "\0\0\0"],
    ["that is no object", "12"],
    ["without a number", JSON.stringify({ startTime: "x" })],
    ["with an impossible number", JSON.stringify({ pid: -1, startTime: "x" })],
  ] as const) {
    test(`takes over a lock ${what}`, async () => {
      await using stage = await openStage();
      await writeFile(join(stage.directory, "gateway.lock"), text);
      const lock = await lockDirectory(stage.directory);
      await assert.rejects(lockDirectory(stage.directory), /is in use by another gateway/);
      await lock.release();
      assert.deepEqual(
        (await readdir(stage.directory)).filter((name) => name.startsWith("gateway.lock")),
        [],
      );
    });
  }

  test("takes over from one that was killed while it took over", async () => {
    await using stage = await openStage();
    const stale = JSON.stringify({ pid: 2 ** 30, startTime: "x" });
    await writeFile(join(stage.directory, "gateway.lock"), stale);
    await writeFile(join(stage.directory, "gateway.lock.takeover"), stale);
    const lock = await lockDirectory(stage.directory);
    assert.deepEqual(await readdir(stage.directory), ["gateway.lock"]);
    await lock.release();
  });

  test("gives a stale lock to exactly one of many that want it at once", async () => {
    for (let round = 0; round < 20; round += 1) {
      await using stage = await openStage();
      await writeFile(join(stage.directory, "gateway.lock"), JSON.stringify({ pid: 2 ** 30, startTime: "x" }));
      const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockDirectory(stage.directory)));
      const held = tries.filter((result) => result.status === "fulfilled");
      assert.equal(held.length, 1, `round ${round}`);
      assert.deepEqual(await readdir(stage.directory), ["gateway.lock"]);
    }
  });

  test("gives a stale lock to exactly one of many processes", async () => {
    await using stage = await openStage();
    await writeFile(join(stage.directory, "gateway.lock"), JSON.stringify({ pid: 2 ** 30, startTime: "x" }));
    const holders = await Promise.all(Array.from({ length: 6 }, () => startHolder(stage)));
    try {
      assert.equal(holders.filter(({ said }) => said === "held").length, 1);
      for (const { said } of holders) assert.match(said, /^held$|is in use by another gateway \(process \d+\)$/);
    } finally {
      await Promise.all(holders.map((holder) => holder.end()));
    }
  });

  test("rejects where it cannot write", async () => {
    await using stage = await openStage();
    await writeFile(join(stage.directory, "file"), "");
    await assert.rejects(lockDirectory(join(stage.directory, "file")), { code: "EEXIST" });
    await assert.rejects(lockDirectory(join(stage.directory, "file", "below")), { code: "ENOTDIR" });
  });
});

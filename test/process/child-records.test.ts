import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { openChildRecords } from "../../src/process/child-records.ts";
import { findProcess } from "../../src/process/process-table.ts";
import { eventually, lasting, openStage, processesWith, type Stage } from "./stage.ts";

const patient = { graceMs: 60_000 };

/** A process that leads its own group and says one line when it is up. */
async function startChild(stage: Stage, script: string): Promise<{ child: ChildProcess; pid: number }> {
  const path = await stage.script("child.sh", `${script}\n`);
  const child = spawn("sh", [path, stage.directory], { detached: true, stdio: ["ignore", "pipe", "ignore"] });
  await once(createInterface({ input: child.stdout }), "line");
  assert.ok(child.pid !== undefined);
  return { child, pid: child.pid };
}

const obedient = `echo up; exec ${lasting}`;

describe("openChildRecords", () => {
  test("reaps a recorded process that still lives, and forgets it", async () => {
    await using stage = await openStage();
    const records = await openChildRecords(join(stage.directory, "records"));
    const { child, pid } = await startChild(stage, obedient);
    await records.add(pid, "sh");
    const exit = once(child, "exit");
    assert.deepEqual(await records.reapOrphans(patient), [{ pid, command: "sh", isGone: true }]);
    assert.deepEqual(await exit, [null, "SIGTERM"]);
    assert.deepEqual(await records.reapOrphans(patient), []);
    assert.deepEqual(await readdir(join(stage.directory, "records")), []);
  });

  test("kills the whole group of one that ignores SIGTERM", async () => {
    await using stage = await openStage();
    const records = await openChildRecords(join(stage.directory, "records"));
    const { child, pid } = await startChild(stage, `trap '' TERM; ${lasting} & echo up; exec ${lasting}`);
    await records.add(pid, "sh");
    const exit = once(child, "exit");
    assert.deepEqual(await records.reapOrphans({ graceMs: 20 }), [{ pid, command: "sh", isGone: true }]);
    assert.deepEqual(await exit, [null, "SIGKILL"]);
    assert.deepEqual(await processesWith(stage.directory), []);
  });

  test("never touches a process that has the number but another start time", async () => {
    await using stage = await openStage();
    const directory = join(stage.directory, "records");
    const records = await openChildRecords(directory);
    const { child, pid } = await startChild(stage, obedient);
    await writeFile(join(directory, `${pid}.json`), JSON.stringify({ pid, startTime: "an earlier one", command: "sh" }));
    assert.deepEqual(await records.reapOrphans({ graceMs: 0 }), []);
    assert.deepEqual(await readdir(directory), []);
    assert.equal((await findProcess(pid))?.isZombie, false);
    process.kill(-pid, "SIGKILL");
    assert.deepEqual(await once(child, "exit"), [null, "SIGKILL"]);
  });

  test("never touches a group that the recorded process does not lead", async () => {
    await using stage = await openStage();
    const directory = join(stage.directory, "records");
    const records = await openChildRecords(directory);
    // Not detached: it belongs to the group of this very test.
    const child = spawn("sh", ["-c", "read line", stage.directory], { stdio: ["pipe", "ignore", "ignore"] });
    assert.ok(child.pid !== undefined);
    await records.add(child.pid, "sh");
    assert.deepEqual(await records.reapOrphans({ graceMs: 0 }), []);
    child.stdin.end();
    assert.deepEqual(await once(child, "exit"), [1, null]);
  });

  for (const [what, text] of [
    ["is empty", ""],
    ["is cut short", '{"pid":12'],
    ["is no object", "null"],
    ["names every process there is", '{"pid":-1,"startTime":"x","command":"sh"}'],
    ["names our own group", '{"pid":0,"startTime":"x","command":"sh"}'],
    ["names the first process", '{"pid":1,"startTime":"x","command":"sh"}'],
    ["has a number that is text", '{"pid":"1234","startTime":"x","command":"sh"}'],
    ["has no start time", `{"pid":${process.pid},"command":"sh"}`],
  ] as const) {
    test(`drops a record that ${what}`, async () => {
      await using stage = await openStage();
      const directory = join(stage.directory, "records");
      const records = await openChildRecords(directory);
      await writeFile(join(directory, "1.json"), text);
      assert.deepEqual(await records.reapOrphans({ graceMs: 0 }), []);
      assert.deepEqual(await readdir(directory), []);
    });
  }

  test("records nothing for a process that has already ended, and removes what is not there", async () => {
    await using stage = await openStage();
    const records = await openChildRecords(stage.directory);
    const child = spawn("sh", ["-c", "exit 0"], { stdio: "ignore" });
    await once(child, "exit");
    await records.add(child.pid ?? 0, "sh");
    await records.remove(child.pid ?? 0);
    assert.deepEqual(await readdir(stage.directory), []);
  });

  test("the next gateway reaps the child of one that was killed", async () => {
    await using stage = await openStage();
    const recordsDirectory = join(stage.directory, "records");
    const child = await stage.script("child.sh", `trap '' TERM HUP PIPE; exec ${lasting}`);
    const module = new URL("../../src/process/", import.meta.url).href;
    const gatewayScript = await stage.script(
      "gateway.mjs",
      `import { superviseChild } from "${module}child.ts";
      import { openChildRecords } from "${module}child-records.ts";
      const supervised = superviseChild({
        name: "actor",
        launch: async () => ({ command: "sh", args: ["${child}"] }),
        isReady: async () => {},
        readyTimeoutMs: 1000,
        stopGraceMs: 1000,
        records: await openChildRecords("${recordsDirectory}"),
        emit: () => {},
      });
      await supervised.start();
      console.log(supervised.state().pid);`,
    );
    const gateway = spawn(process.execPath, [gatewayScript], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(createInterface({ input: gateway.stdout }), "line");
    const pid = Number(line);
    gateway.kill("SIGKILL");
    await once(gateway, "exit");
    assert.equal((await findProcess(pid))?.isZombie, false);

    const next = await openChildRecords(recordsDirectory);
    assert.deepEqual(await next.reapOrphans({ graceMs: 20 }), [{ pid, command: "sh", isGone: true }]);
    await eventually("the orphan is gone", async () => (await processesWith(stage.directory)).length === 0);
    assert.deepEqual(await readdir(recordsDirectory), []);
  });
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findProcess, isGroupAlive } from "../../src/process/process-table.ts";
import { openStage } from "./stage.ts";

const sources = [
  ["the system's own table", {}],
  ["ps", { procDirectory: "/does/not/exist" }],
] as const;

for (const [source, options] of sources) {
  describe(`the process table, from ${source}`, () => {
    test("tells the same start time of one process every time", async () => {
      const first = await findProcess(process.pid, options);
      assert.ok(first !== null && first.startTime !== "");
      assert.deepEqual(await findProcess(process.pid, options), first);
      assert.equal(first.isZombie, false);
    });

    test("follows a group from its start to its end", async () => {
      const child = spawn("sh", ["-c", "read line"], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
      const pid = child.pid ?? 0;
      try {
        const found = await findProcess(pid, options);
        assert.equal(found?.group, pid);
        assert.equal(await isGroupAlive(pid, options), true);
      } finally {
        child.stdin.end();
        await once(child, "exit");
      }
      assert.equal(await findProcess(pid, options), null);
      assert.equal(await isGroupAlive(pid, options), false);
    });
  });
}

describe("findProcess", () => {
  test("reads a process whose name imitates the table's own fields, and one that is a zombie", async () => {
    await using stage = await openStage();
    const write = async (pid: string, state: string): Promise<void> => {
      await mkdir(join(stage.directory, pid));
      const fields = [state, 1, 77, 77, 0, -1, 4194304, 1, 2, 3, 4, 5, 6, 7, 8, 20, 0, 1, 0, 123456, 9, 9];
      await writeFile(join(stage.directory, pid, "stat"), `${pid} (a) Z 1 (b) ${fields.join(" ")}\n`);
    };
    await write("self", "R");
    await write("77", "S");
    await write("78", "Z");
    const options = { procDirectory: stage.directory };
    assert.deepEqual(await findProcess(77, options), { startTime: "boot/123456", group: 77, isZombie: false });
    assert.equal((await findProcess(78, options))?.isZombie, true);
    assert.equal(await findProcess(79, options), null);
  });
});

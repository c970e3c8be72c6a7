import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openChildRecords } from "../../src/process/child-records.ts";
import { type RunOptions, type RunOutcome, runToEnd } from "../../src/process/run.ts";
import { lasting, openStage, processesWith, type Stage } from "./stage.ts";

/** So long that a test which waits for it would never end. */
const never = 2 ** 30;

/** Runs `sh` on `script`, which has the stage's directory as its first argument; the options given win. */
async function runScript(stage: Stage, script: string, options: Partial<RunOptions> = {}): Promise<RunOutcome> {
  const path = await stage.script("run.sh", script);
  const recordsDirectory = join(stage.directory, "records");
  try {
    return await runToEnd({
      name: "runner",
      command: "sh",
      args: [path, stage.directory],
      timeoutMs: never,
      signal: new AbortController().signal,
      records: await openChildRecords(recordsDirectory),
      ...options,
    });
  } finally {
    assert.deepEqual(await processesWith(stage.directory), [], "nothing is left when it settles");
    if (options.records === undefined) assert.deepEqual(await readdir(recordsDirectory), []);
  }
}

describe("runToEnd", () => {
  test("tells the code, the lines of both pipes and the time", async () => {
    await using stage = await openStage();
    const seen: string[] = [];
    const outcome = await runScript(stage, "echo out; echo err >&2; printf last; exit 7", { onLine: (line) => seen.push(line) });
    assert.equal(outcome.code, 7);
    assert.equal(outcome.signal, null);
    assert.equal(outcome.timedOut, false);
    assert.ok(outcome.durationMs > 0);
    assert.deepEqual([...outcome.lines].sort(), ["err", "last", "out"]);
    assert.deepEqual(seen, outcome.lines);
  });

  test("gives it the directory and the environment, and an empty input", async () => {
    await using stage = await openStage();
    const { lines } = await runScript(stage, "pwd -P; echo $COLOUR; cat; echo end", {
      cwd: "/",
      env: { PATH: process.env.PATH, COLOUR: "green" },
    });
    assert.deepEqual(lines, ["/", "green", "end"]);
  });

  test("tells the signal that ended it", async () => {
    await using stage = await openStage();
    const { code, signal, timedOut } = await runScript(stage, "kill -SEGV $$");
    assert.deepEqual({ code, signal, timedOut }, { code: null, signal: "SIGSEGV", timedOut: false });
  });

  test("reads a million lines and keeps the last of them", async () => {
    await using stage = await openStage();
    let count = 0;
    const { lines } = await runScript(stage, "yes line | head -n 1000000; echo end", { onLine: () => (count += 1), maxLines: 3 });
    assert.equal(count, 1_000_001);
    assert.deepEqual(lines, ["line", "line", "end"]);
  });

  test("cuts a line of ten megabytes", async () => {
    await using stage = await openStage();
    const { lines } = await runScript(stage, "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end");
    assert.deepEqual(lines, [`${"x".repeat(8_192)}…`, "end"]);
  });

  test("kills the group of one that takes too long", async () => {
    await using stage = await openStage();
    const script = `trap '' TERM; ${lasting} & exec ${lasting}`;
    const { code, signal, timedOut } = await runScript(stage, script, { timeoutMs: 50 });
    assert.deepEqual({ code, signal, timedOut }, { code: null, signal: "SIGKILL", timedOut: true });
  });

  test("kills the group and rejects with the reason when it is aborted", async () => {
    await using stage = await openStage();
    const controller = new AbortController();
    const script = `trap '' TERM; ${lasting} & echo begun; exec ${lasting}`;
    const run = runScript(stage, script, { signal: controller.signal, onLine: () => controller.abort(new Error("stopping")) });
    await assert.rejects(run, { message: "stopping" });
  });

  test("starts nothing when it is aborted already", async () => {
    await using stage = await openStage();
    const seen: string[] = [];
    const signal = AbortSignal.abort(new Error("stopping"));
    await assert.rejects(runScript(stage, "echo begun", { signal, onLine: (line) => seen.push(line) }), { message: "stopping" });
    assert.deepEqual(seen, []);
  });

  test("kills what it leaves behind in its group", async () => {
    await using stage = await openStage();
    const { code } = await runScript(stage, `${lasting} & exit 0`);
    assert.equal(code, 0);
  });

  test("rejects with a clear reason when it cannot be started", async () => {
    await using stage = await openStage();
    await assert.rejects(runScript(stage, "", { command: "/no/such/freshclam" }), {
      message: /^runner: \/no\/such\/freshclam cannot be started: .*ENOENT/,
    });
  });

  test("rejects when it cannot be recorded, and lets it not run on", async () => {
    await using stage = await openStage();
    const records = { add: () => Promise.reject(new Error("disk full")), remove: async () => {}, reapOrphans: async () => [] };
    await assert.rejects(runScript(stage, `exec ${lasting}`, { records }), {
      message: "runner: sh cannot be recorded: disk full",
    });
  });
});

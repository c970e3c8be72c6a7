/** Commands as they really run. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createRun } from "../../setup/command.mjs";

/** @param {Partial<Parameters<typeof createRun>[0]>} [options] */
function shell(options = {}) {
  const run = createRun({ env: process.env, stop: new AbortController().signal, show: null, ...options });
  return (/** @type {string} */ script, /** @type {import("../../setup/command.mjs").RunOptions} */ how = {}) =>
    run("sh", ["-c", script], how);
}

describe("createRun", () => {
  test("returns the exit code and both streams", async () => {
    const { code, output, commandLine } = await shell()("echo out; echo err >&2; exit 7");
    assert.equal(code, 7);
    assert.deepEqual(output.trim().split("\n").sort(), ["err", "out"]);
    assert.equal(commandLine, "sh -c echo out; echo err >&2; exit 7");
  });

  test("answers 127 for a program that is not there", async () => {
    const run = createRun({ env: process.env, stop: new AbortController().signal, show: null });
    const { code, output } = await run("/nowhere/at/all", []);
    assert.equal(code, 127);
    assert.match(output, /ENOENT/);
  });

  test("answers 128 and the signal's number for a command that a signal ended", async () => {
    assert.equal((await shell()("kill -TERM $$")).code, 143);
  });

  test("keeps the end of a long output", async () => {
    const { output } = await shell()(
      "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo last",
    );
    assert.ok(output.length <= 64 * 1024);
    assert.ok(output.endsWith("last\n"));
  });

  test("speaks English, passes variables on, and leaves standard input empty", async () => {
    const { output } = await shell({ env: { ...process.env, LC_ALL: "de_DE.UTF-8" } })('echo "$LC_ALL $EXTRA"; cat', {
      env: { EXTRA: "yes" },
    });
    assert.equal(output, "C yes\n");
  });

  test("shows the output as it comes", async () => {
    let shown = "";
    await shell({
      show: (text) => {
        shown += text;
      },
    })("echo one; echo two");
    assert.equal(shown, "one\ntwo\n");
  });

  test("does not wait for a daemon that keeps the pipes", async () => {
    const { code, output } = await shell()("sleep 600 & echo $!");
    assert.equal(code, 0);
    process.kill(Number(output.trim()), "SIGKILL");
  });

  test("ends a command that takes too long, with all that it started", async () => {
    const grandchild = "sh -c 'trap \"echo grandchild ended; exit\" TERM; sleep 600 & wait'";
    const { code, isTimedOut, output } = await shell()(`trap "wait; exit 3" TERM; ${grandchild} & wait`, { timeoutMs: 200 });
    assert.deepEqual([code, isTimedOut, output], [3, true, "grandchild ended\n"]);
  });

  test("ends a command when told to stop, and starts no other but a cleanup", async () => {
    const stop = new AbortController();
    const run = shell({ stop: stop.signal, show: () => stop.abort("SIGINT") });
    assert.equal((await run("echo ready; sleep 600")).code, 143);
    assert.deepEqual([(await run("exit 0")).code, (await run("exit 0", { isCleanup: true })).code], [130, 0]);
  });

  test("lets an atomic command come to its end when told to stop", async () => {
    const directory = mkdtempSync(join(tmpdir(), "clamgate-command-"));
    try {
      const stop = new AbortController();
      const gate = join(directory, "gate");
      const show = () => {
        stop.abort("SIGINT");
        writeFileSync(gate, "");
      };
      const run = shell({ stop: stop.signal, show });
      const { code } = await run(`echo ready; until [ -e ${gate} ]; do sleep 0.01; done; exit 5`, { isAtomic: true });
      assert.equal(code, 5);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("does not wait for an atomic command for ever", async () => {
    const stop = new AbortController();
    const run = shell({ stop: stop.signal, show: () => stop.abort("SIGINT"), atomicGraceMs: 50 });
    assert.equal((await run("echo ready; sleep 600", { isAtomic: true })).code, 143);
  });
});

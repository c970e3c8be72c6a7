/** Where the tests of this room play: a private directory, children started from scripts in it, and a look at who is left. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { GatewayEvent } from "../../src/core/events.ts";

export interface Stage extends AsyncDisposable {
  readonly directory: string;
  readonly events: GatewayEvent[];
  readonly emit: (event: GatewayEvent) => void;
  /** Writes a script and returns its path: every process started from it has the stage's directory in its command line. A script
   * that waits must not fork for it (`exec` and `lasting`): a shell's copy would be counted as one process more. */
  script(name: string, text: string): Promise<string>;
  exits(): readonly { readonly reason: string; readonly restartInMs: number | null }[];
}

/** For a script: a command that never ends by itself, says nothing, and is known by the script's path. */
export const lasting = 'tail -n 0 -f "$0"';

/** Its disposal fails when a process started on it is left, and ends that process. */
export async function openStage(): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-supervise-"));
  const events: GatewayEvent[] = [];
  return {
    directory,
    events,
    emit: (event) => events.push(event),
    script: async (name, text) => {
      const path = join(directory, name);
      await writeFile(path, text);
      return path;
    },
    exits: () =>
      events.filter((event) => event.kind === "child-exited").map(({ reason, restartInMs }) => ({ reason, restartInMs })),
    [Symbol.asyncDispose]: async () => {
      const left = await processesWith(directory);
      for (const pid of left) process.kill(pid, "SIGKILL");
      await rm(directory, { recursive: true, force: true });
      assert.deepEqual(left, [], "processes are left");
    },
  };
}

/** The living processes whose command line holds `text`; a zombie has none. */
export async function processesWith(text: string): Promise<readonly number[]> {
  const lines = process.platform === "linux" ? await commandLines() : psLines();
  return lines.filter(([pid, line]) => pid !== process.pid && line.includes(text)).map(([pid]) => pid);
}

/** Polls, for what no event tells. */
export async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  // Long: only what never comes true is waited for so long, and a busy machine takes its time.
  const deadline = performance.now() + 60_000;
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `it never came true that ${what}`);
    await delay(5);
  }
}

async function commandLines(): Promise<[number, string][]> {
  const lines: [number, string][] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    lines.push([Number(name), line]);
  }
  return lines;
}

function psLines(): [number, string][] {
  const text = execFileSync("ps", ["-A", "-o", "pid=,args="], { encoding: "utf8" });
  return text.split("\n").map((line) => [Number.parseInt(line, 10), line]);
}

/** `clamgate scan` beside clamdscan on one tree of small files, by the same clamd: at first sight, and a second time. */

import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { makeBodies } from "../load/body.ts";
import { spreadOf } from "../load/statistics.ts";
import type { Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { type DatabaseName, databases, type Stage } from "../stage.ts";
import { isInstalled } from "../subjects/is-installed.ts";

/**
 * With S-real clamd takes 12 ms for the smallest file and 38 ms for 50 kB, and clamdscan sends one at a time: small files let 2,000 of
 * them be scanned in under a minute. With the tiny database fewer will do, although the start of the command then weighs more, on our side alone.
 */
const trees = { tiny: { directories: 5, bytes: 50_000 }, "S-real": { directories: 20, bytes: 2_000 } } as const;
const filesEach = 100;
const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const run = promisify(execFile);

export const commandLine: Scenario = {
  name: "command-line",
  missing: () => (isInstalled("clamdscan") ? null : "clamdscan is not installed"),
  async run(stage) {
    const rows: Row[] = [];
    for (const database of databases) rows.push(...(await rowsWith(database, stage)));
    return rows;
  },
};

async function rowsWith(database: DatabaseName, stage: Stage): Promise<readonly Row[]> {
  const gateway = await stage.gateway(database);
  const directory = await stage.directory("command-line");
  const confPath = join(directory, "clamd.conf");
  await writeFile(confPath, `LocalSocket ${gateway.socketPath}\n`);
  const { directories, bytes } = trees[database];
  const times = { clamdscan: [] as number[], first: [] as number[], second: [] as number[] };
  for (let round = 0; round < stage.rounds; round += 1) {
    const tree = await plant(join(directory, `tree-${round}`), database, round);
    const theirs = async () => {
      times.clamdscan.push(await secondsOf("clamdscan", ["--fdpass", "--no-summary", `--config-file=${confPath}`, tree]));
    };
    const ours = async () => {
      const args = [main, "scan", "--quiet", "--to", gateway.url, tree];
      times.first.push(await secondsOf(process.execPath, args));
      times.second.push(await secondsOf(process.execPath, args));
    };
    for (const one of round % 2 === 0 ? [theirs, ours] : [ours, theirs]) await one();
    await rm(tree, { recursive: true });
  }
  const row = (which: "first" | "second", what: string, atLeast: number): Row => ({
    scenario: commandLine.name,
    what: `${directories * filesEach} files of ${bytes / 1000} kB, ${what}, ${database}: clamdscan --fdpass's time over clamgate scan's`,
    target: { atLeast },
    measured: spreadOf(times[which].map((seconds, round) => (times.clamdscan[round] ?? Number.NaN) / seconds)),
    unit: "×",
    figures: [
      { name: "clamgate scan", unit: "s", spread: spreadOf(times[which]) },
      { name: "clamdscan --fdpass", unit: "s", spread: spreadOf(times.clamdscan) },
    ],
  });
  return [row("first", "at first sight", 1), row("second", "a second time", 5)];
}

/** Files that nobody has seen before. */
async function plant(root: string, database: DatabaseName, round: number): Promise<string> {
  const { directories, bytes } = trees[database];
  const bodies = makeBodies({ kind: "random", bytes, isUnique: true }, `${database.slice(0, 4)}${round}`.padEnd(8, "-"));
  for (let directory = 0; directory < directories; directory += 1) {
    const path = join(root, `${directory}`);
    await mkdir(path, { recursive: true });
    for (let file = 0; file < filesEach; file += 1) await writeFile(join(path, `${file}.bin`), bodies.next());
  }
  return root;
}

async function secondsOf(command: string, args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  await run(command, args);
  return (performance.now() - startedAt) / 1000;
}

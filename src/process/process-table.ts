/** Looks processes up in the operating system's table, so that a number reused by another process is never taken for ours. */

import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { systemCodeOf } from "../core/errors.ts";

export interface FoundProcess {
  /** Together with the number it names one process for ever: boot and clock ticks where there is a /proc, else the date ps tells. */
  readonly startTime: string;
  readonly group: number;
  /** Dead, but not yet collected by its parent; in a container whose first process collects nothing it stays so. */
  readonly isZombie: boolean;
}

export interface ProcessTableOptions {
  /** Where the kernel shows processes; a place that does not exist means asking ps(1), as macOS must. */
  readonly procDirectory?: string;
}

/** Null when there is no such process, or none that we may see. */
export async function findProcess(pid: number, options: ProcessTableOptions = {}): Promise<FoundProcess | null> {
  const directory = options.procDirectory ?? "/proc";
  if (!(await isProcMounted(directory))) return findWithPs(pid);
  const stat = await readStat(directory, String(pid));
  if (stat === null) return null;
  // Ticks count from the boot: without its name, a record from before a reboot could fit by chance.
  const boot = await readOrNull(join(directory, "sys/kernel/random/boot_id"));
  return { startTime: `${boot?.trim() ?? "boot"}/${stat.startTicks}`, group: stat.group, isZombie: stat.isZombie };
}

/** True while at least one process of the group runs; a zombie does not count. */
export async function isGroupAlive(group: number, options: ProcessTableOptions = {}): Promise<boolean> {
  if (!hasGroup(group)) return false;
  const directory = options.procDirectory ?? "/proc";
  if (!(await isProcMounted(directory))) return isGroupAliveInPs(group);
  for (const name of await readdir(directory)) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readStat(directory, name);
    if (stat !== null && stat.group === group && !stat.isZombie) return true;
  }
  return false;
}

interface Stat {
  readonly group: number;
  readonly startTicks: string;
  readonly isZombie: boolean;
}

/** proc_pid_stat(5): the name, in parentheses, may itself hold blanks and parentheses. */
async function readStat(directory: string, pid: string): Promise<Stat | null> {
  const text = await readOrNull(join(directory, pid, "stat"));
  if (text === null) return null;
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, , group] = fields;
  const startTicks = fields[19];
  if (state === undefined || group === undefined || startTicks === undefined) return null;
  return { group: Number(group), startTicks, isZombie: state === "Z" || state === "X" };
}

async function isProcMounted(directory: string): Promise<boolean> {
  return (await readOrNull(join(directory, "self/stat"))) !== null;
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch {
    // A process that ended between two looks, or one that is not ours to see: for us it is not there.
    return null;
  }
}

/** The quick answer of kill(2): only "no such process" is certain. */
function hasGroup(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (thrown) {
    return systemCodeOf(thrown) !== "ESRCH";
  }
}

async function findWithPs(pid: number): Promise<FoundProcess | null> {
  const [line] = await runPs(["-o", "pgid=,stat=,lstart=", "-p", String(pid)]);
  const [group, state, ...date] = (line ?? "").trim().split(/\s+/);
  if (group === undefined || state === undefined || date.length === 0) return null;
  return { startTime: date.join(" "), group: Number(group), isZombie: state.startsWith("Z") };
}

async function isGroupAliveInPs(group: number): Promise<boolean> {
  const lines = await runPs(["-A", "-o", "pgid=,stat="]);
  return lines.some((line) => {
    const [itsGroup, state] = line.trim().split(/\s+/);
    return Number(itsGroup) === group && state !== undefined && !state.startsWith("Z");
  });
}

async function runPs(args: readonly string[]): Promise<readonly string[]> {
  try {
    // A fixed language and zone: the date is compared as text.
    const { stdout } = await promisify(execFile)("ps", [...args], {
      env: { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC" },
      timeout: 5_000,
    });
    return stdout.split("\n");
  } catch {
    // ps exits 1 when it lists nothing.
    return [];
  }
}

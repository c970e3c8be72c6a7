/** Remembers live children on disk, so that the next gateway can end those whose gateway was killed. */

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { groupEndsWithin, signalGroup } from "./process-group.ts";
import { findProcess } from "./process-table.ts";
import { realTiming, type Timing } from "./timing.ts";

export interface Orphan {
  readonly pid: number;
  readonly command: string;
  /** False when it could not be ended, as another user's process; its record is kept for the next time. */
  readonly isGone: boolean;
}

export interface ChildRecords {
  /** Records a process that leads its own group. Rejects when the record cannot be written. One that has already ended is not recorded. */
  add(pid: number, command: string): Promise<void>;
  remove(pid: number): Promise<void>;
  /**
   * Ends what is left of an earlier gateway: SIGTERM to the group, after `graceMs` SIGKILL. Only a process with the recorded
   * number *and* start time is touched, so what a leader that died since then left in its group stays. To be called with the
   * directory locked and before any child is started.
   */
  reapOrphans(options: { readonly graceMs: number }): Promise<readonly Orphan[]>;
}

/** Makes the directory when it is missing; nothing else may write there. */
export async function openChildRecords(directory: string, timing: Timing = realTiming): Promise<ChildRecords> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const pathOf = (pid: number): string => join(directory, `${pid}.json`);

  return {
    add: async (pid, command) => {
      const found = await findProcess(pid);
      if (found === null) return;
      await writeFile(pathOf(pid), JSON.stringify({ pid, startTime: found.startTime, command }), { mode: 0o600 });
    },
    remove: (pid) => rm(pathOf(pid), { force: true }),
    reapOrphans: async ({ graceMs }) => {
      const names = (await readdir(directory)).filter((name) => name.endsWith(".json"));
      const orphans = await Promise.all(names.map((name) => reap(join(directory, name), graceMs, timing)));
      return orphans.filter((orphan) => orphan !== null);
    },
  };
}

interface ChildRecord {
  readonly pid: number;
  readonly startTime: string;
  readonly command: string;
}

async function reap(path: string, graceMs: number, timing: Timing): Promise<Orphan | null> {
  const record = parseRecord(await readFile(path, "utf8"));
  const orphan = record === null ? null : await endOrphan(record, graceMs, timing);
  if (orphan === null || orphan.isGone) await rm(path, { force: true });
  return orphan;
}

/** Null when there is no such process any more, or when its number now belongs to another. */
async function endOrphan({ pid, startTime, command }: ChildRecord, graceMs: number, timing: Timing): Promise<Orphan | null> {
  const found = await findProcess(pid);
  // Every child of ours leads its group. Where the number leads none, the group of that number is not ours.
  if (found === null || found.startTime !== startTime || found.group !== pid) return null;
  signalGroup(pid, "SIGTERM");
  let isGone = await groupEndsWithin(pid, graceMs, timing);
  if (!isGone) {
    // The number cannot have been reused in between: the kernel gives none away that still names a group.
    signalGroup(pid, "SIGKILL");
    isGone = await groupEndsWithin(pid, killedWithinMs, timing);
  }
  return { pid, command, isGone };
}

/** Null for what is no record of ours, as a file cut short by a full disk: it proves nothing, so nothing may be ended for it. */
function parseRecord(text: string): ChildRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not a record, as said above.
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { pid, startTime, command } = value as Record<string, unknown>; // every field is looked at below
  if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 1) return null;
  if (typeof startTime !== "string" || typeof command !== "string") return null;
  return { pid, startTime, command };
}

/** How long a process may take to vanish once the kernel has been told to end it. */
const killedWithinMs = 2_000;

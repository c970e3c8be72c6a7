/** Signals whole process groups and sees them end. */

import { isGroupAlive } from "./process-table.ts";
import type { Timing } from "./timing.ts";

/** False when there is nobody left to signal, or nobody we may signal. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  // kill(2): -1 means every process there is, 0 our own group. Neither is ever a child of ours.
  if (!Number.isSafeInteger(group) || group <= 1) return false;
  try {
    process.kill(-group, signal);
    return true;
  } catch {
    // Gone already, or another user's: the caller looks whether the group lives and does not trust this alone.
    return false;
  }
}

/** Waits at most `ms` until nothing of the group runs; true when it is so. */
export async function groupEndsWithin(group: number, ms: number, timing: Timing): Promise<boolean> {
  const deadline = timing.clock() + ms;
  while (await isGroupAlive(group)) {
    if (timing.clock() >= deadline) return false;
    await timing.sleep(pollMs);
  }
  return true;
}

/** No event tells that a process which is not our child has ended. */
const pollMs = 10;

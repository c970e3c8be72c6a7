/** The clock of a machine that does nothing else: without the time in which the machine let a process wait for a processor. */

import { readFileSync } from "node:fs";

/**
 * Milliseconds from now on. Where nothing else runs it is the clock's time; it never is more. Linux tells how long a process has
 * waited (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat); elsewhere nothing is taken off.
 *
 * @param pids of those that do what is measured; one that began later has waited since then.
 */
export function startQuietClock(pids: readonly number[] = [process.pid]): (laterPids?: readonly number[]) => number {
  const startedAt = performance.now();
  const before = waitedMs(pids);
  return (laterPids = []) => performance.now() - startedAt - Math.max(0, waitedMs([...pids, ...laterPids]) - before);
}

/** Of their first threads, which is where Node runs JavaScript. */
function waitedMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + waitedMsOf(pid), 0);
}

/** All that a process has waited for a processor; 0 where nobody tells, and once it has ended. */
export function waitedMsOf(pid: number): number {
  try {
    const [, nanoseconds] = readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ");
    return Number(nanoseconds) / 1e6;
  } catch {
    return 0;
  }
}

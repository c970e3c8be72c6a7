/** The passing of time, handed in so that tests can play it. */

import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";

export interface Timing {
  readonly clock: Clock;
  /** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const realTiming: Timing = {
  clock: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(Math.min(ms, longestTimerMs), undefined, signal === undefined ? {} : { signal });
    } catch {
      // Aborted: the one way a timer rejects, and the caller looks at its signal.
    }
  },
};

/** True when `promise` settles before `ms` are over; its outcome stays with whoever else awaits it. */
export async function settlesWithin(promise: Promise<unknown>, ms: number, timing: Timing): Promise<boolean> {
  const waiting = new AbortController();
  const settled = promise.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, timing.sleep(ms, waiting.signal).then(() => false)]);
  } finally {
    waiting.abort();
  }
}

/** Node fires a longer timer at once instead of late. */
const longestTimerMs = 2 ** 31 - 1;

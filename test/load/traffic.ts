/** Mixed traffic: at a steady rate whatever becomes of it, or as fast as it is answered. */

import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../fault/harness/random.ts";

export interface SteadyTraffic {
  /** Sends no more; resolves when all is answered. */
  stop(): Promise<void>;
  /** Requests that are not answered yet. */
  underWay(): number;
}

/** Clients are independent of each other: what they send does not come in bursts. */
const tickMs = 1;

/** Requests come when their time has come, not when the one before is answered: a gateway that is slow gets no mercy. */
export function steadyTraffic(perSecond: number, send: () => Promise<unknown>): SteadyTraffic {
  const startedAt = performance.now();
  const running = new Set<Promise<unknown>>();
  let sent = 0;
  const timer = setInterval(() => {
    for (const due = ((performance.now() - startedAt) / 1000) * perSecond; sent < due; sent += 1) {
      const one = send().finally(() => running.delete(one));
      running.add(one);
    }
  }, tickMs);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
    },
    underWay: () => running.size,
  };
}

export interface ClosedTrafficOptions {
  /** Requests under way at any moment, each followed by the next. */
  readonly workers: number;
  readonly seconds?: number;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/** Resolves with the requests that were answered each second. */
export async function closedTraffic(options: ClosedTrafficOptions, send: () => Promise<unknown>): Promise<number> {
  const { workers, seconds = Number.POSITIVE_INFINITY, signal } = options;
  const startedAt = performance.now();
  const end = startedAt + seconds * 1000;
  let answered = 0;
  const work = async () => {
    while (performance.now() < end && signal?.aborted !== true) {
      await send();
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return answered / ((performance.now() - startedAt) / 1000);
}

/** Calls one of the actions, each as often as its weight says. */
export function weighted<T>(random: Random, choices: readonly (readonly [weight: number, action: () => T])[]): T {
  let left = random.next() * choices.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, action] of choices) {
    left -= weight;
    if (left < 0) return action();
  }
  throw new RangeError("there is nothing to choose from");
}

/** Resolves after so long, or at once when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {}); // told to go on
}

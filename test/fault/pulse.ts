/** Asks a gateway all the time whether it lives and whether it is ready, and keeps the answers. */

import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

export interface Beat {
  readonly atMs: number;
  /** Null where no answer came within the patience. */
  readonly liveStatus: number | null;
  readonly liveMs: number;
  readonly readyStatus: number | null;
}

export interface Pulse extends AsyncDisposable {
  readonly beats: readonly Beat[];
  /** Resolves with the first beat after `sinceMs` that told so. */
  firstReady(isReady: boolean, sinceMs: number): Promise<Beat>;
}

const patienceMs = 5_000;

/** Opens a connection for each question: a gateway that takes no connections must not look alive. */
export function feelPulse(url: string, intervalMs = 100): Pulse {
  const ended = new AbortController();
  const beats: Beat[] = [];
  const waiting = new Set<() => void>();

  async function beat(): Promise<void> {
    const atMs = performance.now();
    // At once: while it stands still nothing of it may go by unasked.
    const [live, ready] = await Promise.all([ask(`${url}/livez`), ask(`${url}/readyz`)]);
    beats.push({ atMs, liveStatus: live.status, liveMs: live.elapsedMs, readyStatus: ready.status });
    for (const wake of waiting) wake();
    waiting.clear();
  }

  const watching = (async () => {
    while (!ended.signal.aborted) {
      await beat();
      await delay(intervalMs, undefined, { signal: ended.signal }).catch(() => {}); // it ends
    }
  })();

  return {
    beats,
    async firstReady(isReady, sinceMs) {
      for (;;) {
        const found = beats.find(({ atMs, readyStatus }) => atMs >= sinceMs && (readyStatus === 200) === isReady);
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => waiting.add(resolve));
      }
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      await watching;
    },
  };
}

function ask(url: string): Promise<{ readonly status: number | null; readonly elapsedMs: number }> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const settle = (status: number | null) => resolve({ status, elapsedMs: performance.now() - startedAt });
    const asking = get(url, { agent: false, timeout: patienceMs }, (response) => {
      response.resume();
      settle(response.statusCode ?? null);
    });
    asking.on("timeout", () => asking.destroy()).on("error", () => settle(null));
  });
}

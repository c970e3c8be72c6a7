/** Asks a gateway all the time whether it lives and whether it is ready, and a bare server beside it, and keeps the answers. */

import { once } from "node:events";
import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { GatewayProcess } from "../../e2e/gateway-process.ts";
import { waitedMsOf } from "../../quiet-clock.ts";

export interface Beat {
  readonly atMs: number;
  /** Null where no answer came within the patience. */
  readonly liveStatus: number | null;
  readonly liveMs: number;
  /** How long a server that does nothing else took just then: what the machine and this process cost any answer. */
  readonly bareMs: number;
  /** How long the gateway had to wait for a processor meanwhile, since others had them. */
  readonly heldMs: number;
  readonly readyStatus: number | null;
}

export interface Pulse extends AsyncDisposable {
  readonly beats: readonly Beat[];
  /** Resolves with the first beat after `sinceMs` that told so. */
  firstReady(isReady: boolean, sinceMs: number): Promise<Beat>;
}

const patienceMs = 5_000;

/** In a thread, so that it shares nothing with the test but the machine. */
const bareServer = `
  const { parentPort } = require("node:worker_threads");
  const server = require("node:http").createServer((_, response) => response.end());
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

/** Opens a connection for each question: a gateway that takes no connections must not look alive. */
export function feelPulse({ url, pid }: Pick<GatewayProcess, "url" | "pid">, intervalMs = 100): Pulse {
  const ended = new AbortController();
  const beats: Beat[] = [];
  const waiting = new Set<() => void>();
  const bare = new Worker(bareServer, { eval: true });
  const listening = once(bare, "message");

  async function beat(bareUrl: string): Promise<void> {
    const atMs = performance.now();
    const heldBefore = waitedMsOf(pid);
    let heldMs = 0;
    const living = ask(`${url}/livez`).finally(() => {
      heldMs = Math.max(0, waitedMsOf(pid) - heldBefore);
    });
    // At once: while it stands still nothing of it may go by unasked.
    const [live, ready, beside] = await Promise.all([living, ask(`${url}/readyz`), ask(bareUrl)]);
    beats.push({
      atMs,
      liveStatus: live.status,
      liveMs: live.elapsedMs,
      bareMs: beside.elapsedMs,
      heldMs,
      readyStatus: ready.status,
    });
    for (const wake of waiting) wake();
    waiting.clear();
  }

  const watching = (async () => {
    const [port] = await listening;
    while (!ended.signal.aborted) {
      await beat(`http://127.0.0.1:${port}/`);
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
      await bare.terminate();
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

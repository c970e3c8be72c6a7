/** Whether one clamd may be used: up from one proof to the first failed one, watched all the time. */

import { setTimeout as delay } from "node:timers/promises";
import type { Clock, Observe } from "../core/ports.ts";
import type { EngineVersion } from "../core/verdict.ts";
import { type Clamd, ClamdBusy, proveClamd } from "./proof.ts";

export interface HealthTiming {
  readonly proofTimeoutMs: number;
  /** Between two proofs of a clamd that is up. */
  readonly proofIntervalMs: number;
  /** Between two attempts while it is down. */
  readonly proofRetryMs: number;
}

export interface HealthOptions {
  readonly clamd: Clamd;
  /** As it stands in logs. */
  readonly name: string;
  /** As long as one scan may take, all threads may be taken and no canary answered. */
  readonly busyMs: number;
  readonly clock: Clock;
  readonly observe: Observe;
  /** Told when it goes up or down, and when its version changes. */
  readonly onChange: () => void;
  readonly timing: HealthTiming;
}

export interface Health {
  isUp(): boolean;
  /** Of the last proof, also while it is down; null before the first. Between `renew` and the next proof with a tag of its own. */
  version(): EngineVersion | null;
  /** False between `renew` and the next proof: nothing that was found before counts, and nothing that is found now is to be remembered. */
  isSettled(): boolean;
  /** Asks for a new proof now; resolves with whether it was given. */
  prove(): Promise<boolean>;
  /** The signatures are others from now on: asks for a proof that begins now, and resolves as `prove`. */
  renew(): Promise<boolean>;
  /** Not to be used until it has proved itself again. */
  markDown(reason: string): void;
  /** Ends the watch. */
  close(): void;
}

export function watchHealth({ clamd, name, busyMs, clock, observe, onChange, timing }: HealthOptions): Health {
  const closed = new AbortController();
  let version: EngineVersion | null = null;
  let isUp = false;
  let hasReported = false;
  let provenAt = -Infinity;
  /** Times that the signatures have changed, and how often they had at the last proof. */
  let changes = 0;
  let provenChanges = 0;
  let proof: Promise<boolean> | null = null;
  let pause = new AbortController();

  function isSettled(): boolean {
    return provenChanges === changes;
  }

  function markDown(reason: string): void {
    if (!isUp && hasReported) return;
    isUp = false;
    hasReported = true;
    pause.abort();
    observe({ kind: "backend-down", backend: name, reason });
    onChange();
  }

  function markUp(next: EngineVersion): void {
    const isNews = !isUp || version?.tag !== next.tag;
    version = next;
    isUp = true;
    hasReported = true;
    provenAt = clock();
    if (!isNews) return;
    observe({ kind: "backend-up", backend: name, version: next });
    onChange();
  }

  async function proveOnce(): Promise<boolean> {
    try {
      for (;;) {
        const begun = changes;
        const proven = await proveClamd(clamd, closed.signal, timing.proofTimeoutMs);
        // One that began before the change tells of the signatures before it.
        if (begun !== changes) continue;
        provenChanges = begun;
        markUp(proven.version);
        return true;
      }
    } catch (error) {
      if (closed.signal.aborted) return false;
      // All its threads at work, for us or for another gateway, is load and no fault, unless it lasts longer than any scan may.
      const isLoad = error instanceof ClamdBusy && isUp && clock() - provenAt < busyMs;
      if (!isLoad) markDown(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  function prove(): Promise<boolean> {
    proof ??= proveOnce().finally(() => {
      proof = null;
    });
    return proof;
  }

  function renew(): Promise<boolean> {
    changes += 1;
    return prove();
  }

  async function watch(): Promise<void> {
    while (!closed.signal.aborted) {
      await prove();
      if (isUp) await sleep(timing.proofIntervalMs);
      if (!isUp) await sleep(timing.proofRetryMs);
    }
  }

  /** Ends early when it goes down or the watch ends. */
  async function sleep(ms: number): Promise<void> {
    if (closed.signal.aborted) return;
    pause = new AbortController();
    await delay(ms, undefined, { signal: pause.signal, ref: false }).catch(() => {}); // woken
  }

  void watch();
  return {
    isUp: () => isUp,
    version: () => (version === null || isSettled() ? version : { ...version, tag: `${version.tag}+${changes}` }),
    isSettled,
    prove,
    renew,
    markDown,
    close() {
      closed.abort();
      pause.abort();
    },
  };
}

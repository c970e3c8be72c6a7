/** Whether one clamd may be used: up from one proof to the first failed one, watched all the time. */

import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Clock, Observe } from "../core/ports.ts";
import type { EngineVersion } from "../core/verdict.ts";
import type { AlertProbe } from "./alert-probes.ts";
import { watchAlerts } from "./alerts.ts";
import { type Clamd, ClamdBusy, proveClamd } from "./proof.ts";
import { laxTag } from "./tag.ts";

export interface HealthTiming {
  readonly proofTimeoutMs: number;
  /** Between two proofs of a clamd that is up. */
  readonly proofIntervalMs: number;
  /** Between two attempts while it is down. */
  readonly proofRetryMs: number;
}

export interface HealthOptions {
  readonly clamd: Clamd;
  /** What its clamd.conf must have it report. */
  readonly probes: readonly AlertProbe[];
  /** Whether a clamd that does not report all of it is down. */
  readonly isStrict: boolean;
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
  /** The lines that its clamd.conf lacks, as far as it has shown. */
  lacking(): readonly string[];
  /** True from a proof that has failed to the next one that is given; not while it is down for a scan that was lost. */
  isSilent(): boolean;
  /** Since when every proof has been given, or was late for nothing but load. Infinity while it is silent. */
  provenSince(): number;
  /** Asks for a new proof now; resolves with whether it was given. */
  prove(): Promise<boolean>;
  /** The signatures are others from now on: asks for a proof that begins now, and resolves as `prove`. */
  renew(): Promise<boolean>;
  /** Not to be used until it has proved itself again. */
  markDown(reason: string): void;
  /** Ends the watch. */
  close(): void;
}

/** Of versions between `renew` and the next proof: no other gateway, and no other start of this one, has the same. */
const nonceBytes = 8;

export function watchHealth(options: HealthOptions): Health {
  const { clamd, probes, isStrict, name, busyMs, clock, observe, onChange, timing } = options;
  const alerts = watchAlerts({ clamd, probes, timeoutMs: timing.proofTimeoutMs, clock });
  const closed = new AbortController();
  const nonce = randomBytes(nonceBytes).toString("hex");
  let version: EngineVersion | null = null;
  let isUp = false;
  let hasReported = false;
  let provenAt = -Infinity;
  let provenSince = Infinity;
  /** Times that the signatures have changed, and how often they had at the last proof. */
  let changes = 0;
  let provenChanges = 0;
  let proof: Promise<boolean> | null = null;
  let pause = new AbortController();
  /** As it was last told. */
  let toldLacking: readonly string[] = [];

  function isSettled(): boolean {
    return provenChanges === changes;
  }

  function isSilent(): boolean {
    return provenSince === Infinity;
  }

  function markDown(reason: string): void {
    alerts.forget(); // what comes back may have another conf
    goDown(reason);
  }

  function goDown(reason: string): void {
    if (!isUp && hasReported) return;
    isUp = false;
    hasReported = true;
    pause.abort();
    observe({ kind: "backend-down", backend: name, reason });
    onChange();
  }

  function markSilent(reason: string): void {
    const isNews = !isSilent();
    provenSince = Infinity;
    markDown(reason);
    if (isNews) onChange();
  }

  function markUp(next: EngineVersion): void {
    const isNews = !isUp || version?.tag !== next.tag;
    version = next;
    isUp = true;
    hasReported = true;
    provenAt = clock();
    if (isSilent()) provenSince = provenAt;
    if (!isNews) return;
    observe({ kind: "backend-up", backend: name, version: next });
    onChange();
  }

  async function proveOnce(): Promise<boolean> {
    try {
      for (;;) {
        const begun = changes;
        const proven = await proveClamd(clamd, closed.signal, timing.proofTimeoutMs);
        const lacking = await findLacking(proven.version.tag);
        // One that began before the change tells of the signatures before it.
        if (begun !== changes) continue;
        provenChanges = begun;
        tellLacking(lacking);
        if (isStrict && lacking.length > 0) {
          goDown(`its clamd.conf lacks ${lacking.join(", ")}`);
          return false;
        }
        markUp({ ...proven.version, tag: laxTag(proven.version.tag, lacking) });
        return true;
      }
    } catch (error) {
      if (closed.signal.aborted) return false;
      // All its threads at work, for us or for another gateway, is load and no fault, unless it lasts longer than any scan may.
      const isLoad = error instanceof ClamdBusy && isUp && clock() - provenAt < busyMs;
      if (!isLoad) markSilent(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** What is in a conf changes with a start only: while it is up, what was shown before holds where it cannot be asked. */
  async function findLacking(tag: string): Promise<readonly string[]> {
    try {
      return await alerts.ask(tag, closed.signal);
    } catch (error) {
      const known = alerts.lacking();
      if (known === null || closed.signal.aborted) throw error;
      return known;
    }
  }

  function tellLacking(lacking: readonly string[]): void {
    if (lacking.join() === toldLacking.join()) return;
    toldLacking = lacking;
    const message =
      lacking.length === 0
        ? `${name} reports all that it does not look into`
        : `${name} says OK to what it does not look into: its clamd.conf lacks ${lacking.join(", ")}`;
    observe({ kind: "notice", level: lacking.length === 0 ? "info" : "warn", message });
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
    version: () => (version === null || isSettled() ? version : { ...version, tag: `${version.tag}+${nonce}-${changes}` }),
    isSettled,
    lacking: () => alerts.lacking() ?? [],
    isSilent,
    provenSince: () => provenSince,
    prove,
    renew,
    markDown,
    close() {
      closed.abort();
      pause.abort();
    },
  };
}

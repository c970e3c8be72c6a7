/** Whether one clamd may be used: up from one proof to the first failed one, watched all the time. */

import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import type { EngineVersion } from "../core/verdict.ts";
import { type AlertProbe, watchAlerts } from "./alerts.ts";
import { askLife, type Clamd, ClamdBusy, laxTag, type ProveBody, proveClamd } from "./proof.ts";

export interface HealthTiming {
  /** A proof that takes longer is late: whose clamd shows no other sign of life is down soon, any other is busy. */
  readonly proofTimeoutMs: number;
  /** Between two proofs of a clamd that is up. */
  readonly proofIntervalMs: number;
  /** Between two attempts while it is down. */
  readonly proofRetryMs: number;
}

export interface HealthOptions {
  readonly clamd: Clamd;
  /** How canaries and probes are asked: as the bodies are. */
  readonly proveBody: ProveBody;
  /** What its clamd.conf must have it report. */
  readonly probes: readonly AlertProbe[];
  /** Whether a clamd that does not report all of it is down. */
  readonly isStrict: boolean;
  /** As it stands in logs. */
  readonly name: string;
  /** As long as one scan may take, all threads may be taken and no canary answered. */
  readonly busyMs: number;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Told when it goes up or down, and when its version changes. */
  readonly onChange: () => void;
  readonly timing: HealthTiming;
}

export interface Health {
  isUp(): boolean;
  /** Of the last proof, also while it is down; null before the first. While it is not settled with a tag of its own. */
  version(): EngineVersion | null;
  /** False between `renew` and the next proof, and while it has not shown the epoch that it should: nothing that was found before counts, and nothing that is found now is to be remembered. */
  isSettled(): boolean;
  /** The lines that its clamd.conf lacks, as far as it has shown. */
  lacking(): readonly string[];
  /** True from a proof that has failed to the next one that is given; not while it is down for a scan that was lost. */
  isSilent(): boolean;
  /**
   * True while a proof is late and clamd takes connections: it has more to do than it has threads, for us or for another gateway, and
   * should be given no more. Also of one that has not been up yet.
   */
  isBusy(): boolean;
  /** To be told of every connection that clamd takes. */
  connected(): void;
  /** To be told of whatever clamd answers: a sign of life. */
  heard(): void;
  /** Since when every proof has been given, or was late for nothing but load. Infinity while it is silent. */
  provenSince(): number;
  /** Asks for a new proof now; resolves with whether it was given in time. */
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
/** A silence of so many times the time of a proof is no load any more: of one that was not known to be busy, and of one that was. */
const silence = { sudden: 1.5, busy: 10 };

/** No answer at all for so long that it can be no load. */
class LateError extends Error {
  override readonly name = "LateError";
}

export function watchHealth(options: HealthOptions): Health {
  const { clamd, proveBody, probes, isStrict, name, clock, emit, onChange, timing } = options;
  const busyMs = Math.max(options.busyMs, 2 * timing.proofTimeoutMs);
  const alerts = watchAlerts({ proveBody, probes, timeoutMs: busyMs, clock });
  const closed = new AbortController();
  const nonce = randomBytes(nonceBytes).toString("hex");
  let version: EngineVersion | null = null;
  let isUp = false;
  let hasReported = false;
  let provenSince = Infinity;
  let isBusy = false;
  let heardAt = -Infinity;
  let connectedAt = -Infinity;
  /** Times that the signatures have changed, and how often they had at the last proof. */
  let changes = 0;
  let provenChanges = 0;
  let provenEpoch = "";
  let proof: Promise<boolean> | null = null;
  let pause = new AbortController();
  /** As it was last told. */
  let toldLacking: readonly string[] = [];

  function isSettled(): boolean {
    const isShown = clamd.shownEpoch === undefined || provenEpoch === clamd.shownEpoch.current();
    return isShown && provenChanges === changes;
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
    emit({ kind: "backend-down", backend: name, reason });
    onChange();
  }

  function markSilent(reason: string): void {
    const isNews = !isSilent();
    provenSince = Infinity;
    markDown(reason);
    if (isNews) onChange();
  }

  function markUp(next: EngineVersion): void {
    const isNews = !isUp || isBusy || version?.tag !== next.tag;
    const isChange = !isUp || version?.tag !== next.tag;
    version = next;
    isUp = true;
    hasReported = true;
    isBusy = false;
    if (isSilent()) provenSince = clock();
    if (isChange) emit({ kind: "backend-up", backend: name, version: next });
    if (isNews) onChange();
  }

  async function proveOnce(): Promise<boolean> {
    const ending = new AbortController();
    const onClose = () => ending.abort(closed.signal.reason);
    closed.signal.addEventListener("abort", onClose);
    const stopWatching = watchLateness(ending);
    const { signal } = ending;
    try {
      signal.throwIfAborted();
      for (;;) {
        const begun = changes;
        // No proof is given up while clamd lives: its canary is in clamd's queue, and the next one would be further back.
        const proven = await proveClamd(clamd, signal, busyMs, proveBody);
        const lacking = await findLacking(proven.version.tag, signal);
        // One that began before the change tells of the signatures before it.
        if (begun !== changes) continue;
        provenChanges = begun;
        provenEpoch = proven.epoch;
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
      if (!(error instanceof LateError)) isBusy = false;
      markSilent(messageOf(error));
      return false;
    } finally {
      stopWatching();
      closed.signal.removeEventListener("abort", onClose);
    }
  }

  /** Tells busy from dead while a proof is under way, and ends it where clamd is dead, or busy for longer than any scan may take. */
  function watchLateness(ending: AbortController): () => void {
    const { proofTimeoutMs } = timing;
    const startedAt = clock();
    let isAsking = false;

    function look(): void {
      const now = clock();
      if (ending.signal.aborted || now - startedAt < proofTimeoutMs) return;
      const silentMs = now - Math.max(startedAt, heardAt);
      const isAlive = heardAt >= startedAt;
      const patience = isAlive ? silence.busy : silence.sudden;
      if (silentMs >= Math.min(patience * proofTimeoutMs, busyMs)) {
        ending.abort(new LateError(`no answer within ${Math.round(silentMs)} ms`));
      } else if (now - startedAt >= busyMs) {
        ending.abort(new ClamdBusy("every thread is busy"));
      } else {
        markBusy(isAlive ? "every thread is busy" : `no answer within ${Math.round(silentMs)} ms`);
        askWhetherAlive();
      }
    }

    function markBusy(reason: string): void {
      const wasBusy = isBusy;
      isBusy = connectedAt >= startedAt;
      if (!isBusy || wasBusy) return;
      emit({ kind: "notice", level: "warn", message: `${name} is busy: ${reason}, it is given no more for now` });
      onChange();
    }

    function askWhetherAlive(): void {
      if (isAsking) return;
      isAsking = true;
      askLife(clamd, ending.signal, busyMs)
        .then((hasEngine) => {
          if (!hasEngine) ending.abort(new Error("it has no signatures any more"));
        })
        .catch(() => {}) // the proof will tell
        .finally(() => {
          isAsking = false;
        });
    }

    // What has arrived while this process stood still is read first.
    const timer = setInterval(() => setImmediate(look), proofTimeoutMs / 6).unref();
    return () => clearInterval(timer);
  }

  /** What is in a conf changes with a start only: while it is up, what was shown before holds where it cannot be asked. */
  async function findLacking(tag: string, signal: AbortSignal): Promise<readonly string[]> {
    try {
      return await alerts.ask(tag, signal);
    } catch (error) {
      const known = alerts.lacking();
      if (known === null || signal.aborted) throw error;
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
    emit({ kind: "notice", level: lacking.length === 0 ? "info" : "warn", message });
  }

  function prove(): Promise<boolean> {
    proof ??= proveOnce().finally(() => {
      proof = null;
    });
    return inTime(proof);
  }

  /** A proof that is late goes on; whoever asked is not kept waiting. */
  async function inTime(proof: Promise<boolean>): Promise<boolean> {
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(late.resolve, timing.proofTimeoutMs, false).unref();
    return Promise.race([proof, late.promise]).finally(() => clearTimeout(timer));
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
    isBusy: () => isBusy,
    connected() {
      connectedAt = clock();
    },
    heard() {
      heardAt = clock();
    },
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

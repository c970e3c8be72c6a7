/** Keeps the engine on the best signatures there are: watches the directory, runs freshclam, has new sets loaded. */

import { mkdir, mkdtemp, rmdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { messageOf, systemCodeOf } from "../core/errors.ts";
import type { Emit, UpdateOutcome } from "../core/events.ts";
import type { Epochs } from "./epochs.ts";
import { type FreshclamOptions, runFreshclam } from "./freshclam/freshclam.ts";
import { removingLeftovers } from "./freshclam/freshclam-leftovers.ts";
import { nextCheckMs } from "./schedule.ts";
import { type KeptOut, type LoadEpoch, readLastGood, setLoader } from "./set-loader.ts";
import { fingerprint } from "./signature-files.ts";
import { readSignatureSet, type SignatureSet } from "./signature-set.ts";

/** Calls `action` once, after `ms`; the returned function calls that off. */
export type After = (ms: number, action: () => void) => () => void;

export interface UpdateAttempt {
  readonly at: Date;
  readonly outcome: UpdateOutcome;
  readonly detail: string;
  readonly coolDownUntil: Date | null;
}

export interface SignatureStatus {
  /** What the engine has loaded; null when nothing. */
  readonly set: SignatureSet | null;
  readonly isTestOnly: boolean;
  /** When the daily database was built, or else the newest there is; null where no file says. */
  readonly builtAt: Date | null;
  readonly loadedAt: Date | null;
  readonly lastAttempt: UpdateAttempt | null;
  /** When freshclam last found everything up to date, or brought it there. */
  readonly lastSuccess: Date | null;
  /** `read-only`: freshclam would run, but DATABASE_DIRECTORY cannot be written. */
  readonly updates: "on" | "off" | "read-only";
  /** What is in the directory and not in use, for as long as that is so. */
  readonly keptOut: readonly KeptOut[];
}

export interface SignatureUpdater {
  /**
   * Loads what is there, else the last good epoch; with neither, waits `firstUpdateMs` at most for an update and then loads the
   * fallback. Resolves with something loaded, or with nothing to be had for now; then watches and updates go on. Never rejects.
   */
  start(): Promise<void>;
  /** Runs freshclam now, after what is under way, and loads what it brought. Null where updates are off or impossible. */
  checkNow(): Promise<UpdateAttempt | null>;
  /**
   * Loads what has changed in the directory, if it stays the same for a second: where it does not, its watch goes on. Resolves when that
   * is done or has failed.
   */
  loadNow(): Promise<void>;
  status(): SignatureStatus;
  /** Ends a running freshclam, waits for a load that is under way, and leaves no timer. */
  close(): Promise<void>;
}

export interface UpdaterOptions {
  /** DATABASE_DIRECTORY. */
  readonly directory: string;
  readonly epochs: Epochs;
  readonly load: LoadEpoch;
  /** Holds the test signatures that are loaded when there is nothing else; null, as in production, refuses to load only them. */
  readonly fallbackDirectory: string | null;
  /** SIGNATURE_CHECKS; 0 never runs freshclam. */
  readonly checksPerDay: number;
  readonly freshclam: Omit<FreshclamOptions, "signal" | "previous">;
  readonly firstUpdateMs: number;
  /** Between two looks at the directory; a change is loaded after the second look that sees it the same. */
  readonly pollMs?: number;
  readonly emit: Emit;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: () => number;
  readonly after: After;
}

const settleMs = 1_000;

export function keepSignatures(options: UpdaterOptions): SignatureUpdater {
  const { directory, epochs, fallbackDirectory, checksPerDay, emit, clock, now, random, after, pollMs = 15_000 } = options;
  const ending = new AbortController();
  const { signal } = ending;
  const loader = setLoader({ ...options, acceptsTestOnly: fallbackDirectory !== null, signal });

  let starting: Promise<void> = Promise.resolve();
  let work: Promise<unknown> = Promise.resolve();
  let cancelPoll = (): void => {};
  let cancelCheck = (): void => {};
  let seen: string | null = null;
  let handled: string | null = null;
  /** What need not even be read before that time of the clock. */
  let postponed: { readonly fingerprint: string; readonly until: number } | null = null;
  let lastNotice: string | null = null;
  let lastAttempt: UpdateAttempt | null = null;
  let lastSuccess: Date | null = null;
  let failures = 0;
  let isReadOnly = false;

  /** One queue for freshclam and for reading its directory: a set read in the middle of an update is half old, half new. */
  function serially<T>(job: () => Promise<T>): Promise<T> {
    const mine = work.then(job);
    work = mine.catch(() => {});
    return mine;
  }

  async function refresh(): Promise<void> {
    try {
      const before = await fingerprint(directory);
      if (before === "") {
        const isLoss = loader.loaded()?.set.isTestOnly === false;
        if (isLoss) notice(`there are no signatures in ${directory} any more; those loaded stay`);
        handled = before;
        return;
      }
      const outcome = await loader.offer(await readSignatureSet(directory));
      if (outcome.kind === "postponed") postponed = { fingerprint: before, until: outcome.until };
      else handled = before;
      lastNotice = null;
    } catch (error) {
      notice(messageOf(error));
    }
  }

  async function poll(): Promise<void> {
    try {
      const found = await fingerprint(directory);
      const isStable = found === seen;
      seen = found;
      const isTooEarly = found === postponed?.fingerprint && clock() < postponed.until;
      if (isStable && found !== handled && !isTooEarly) await refresh();
    } catch (error) {
      notice(messageOf(error));
    }
  }

  async function loadNow(): Promise<void> {
    try {
      const found = await fingerprint(directory);
      if (signal.aborted || found === handled) return;
      // Who asked may have meant something else, and somebody be writing here.
      await within(settleMs, new Promise(() => {}));
      if (!signal.aborted && (await fingerprint(directory)) === found) await refresh();
    } catch (error) {
      notice(messageOf(error));
    }
  }

  async function update(): Promise<UpdateAttempt | null> {
    if (signal.aborted || checksPerDay === 0) return null;
    isReadOnly = !(await isWritable(directory));
    if (isReadOnly) return null;
    const at = new Date(now());
    const startedAt = clock();
    const run = removingLeftovers(directory, () => runFreshclam({ ...options.freshclam, signal, previous: lastAttempt }));
    // It rejects with the signal's reason only.
    const result = await run.catch(() => null);
    if (result === null || signal.aborted) return null;
    lastAttempt = { at, ...result };
    failures = result.outcome === "failed" ? failures + 1 : 0;
    if (result.outcome === "updated" || result.outcome === "up-to-date") lastSuccess = new Date(now());
    emit({
      kind: "signatures-checked",
      outcome: result.outcome,
      detail: result.detail,
      seconds: (clock() - startedAt) / 1000,
    });
    await refresh();
    return lastAttempt;
  }

  function notice(message: string): void {
    if (message === lastNotice || signal.aborted) return;
    lastNotice = message;
    emit({ kind: "notice", level: "error", message });
  }

  function pollLater(): void {
    cancelPoll();
    if (!signal.aborted) cancelPoll = after(pollMs, () => void serially(poll).then(pollLater));
  }

  function checkLater(): void {
    cancelCheck();
    if (signal.aborted || checksPerDay === 0) return;
    // Where nothing can be written, the last attempt says nothing about the next one.
    const last = isReadOnly ? { outcome: "up-to-date" as const, coolDownUntil: null } : lastAttempt;
    const waitMs = nextCheckMs({ checksPerDay, last, failures, now: now(), random });
    cancelCheck = after(waitMs, () => void checkNow());
    if (last === null || last.outcome === "updated" || last.outcome === "up-to-date") return;
    const at = new Date(now() + waitMs).toISOString().slice(0, 16);
    emit({ kind: "notice", level: "info", message: `freshclam is tried again in ${minutes(waitMs)}, at ${at}Z` });
  }

  function checkNow(): Promise<UpdateAttempt | null> {
    cancelCheck();
    return serially(update).finally(checkLater);
  }

  async function startUp(): Promise<void> {
    await serially(refresh);
    await loader.offerIfNone(() => readLastGood(epochs));
    // They may well be of another directory that DATABASE_DIRECTORY named then.
    if (loader.loaded() !== null && handled === "")
      notice(`there are no signatures in ${directory}; those of an earlier start are used`);
    if (loader.loaded() === null) {
      await within(options.firstUpdateMs, checkNow());
      // freshclam may still be running: this directory is none of its.
      if (fallbackDirectory !== null) await loader.offerIfNone(() => readSignatureSet(fallbackDirectory));
    } else checkLater();
    pollLater();
  }

  /** Waits for `job` no longer than that; the job itself goes on. */
  async function within(ms: number, job: Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = after(ms, resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    await Promise.race([job, promise]);
    cancel();
  }

  return {
    start() {
      starting = startUp();
      return starting;
    },
    checkNow,
    loadNow: () => serially(loadNow),
    status() {
      const loaded = loader.loaded();
      return {
        set: loaded?.set ?? null,
        isTestOnly: loaded?.set.isTestOnly ?? false,
        builtAt: loaded?.set.daily?.builtAt ?? loaded?.set.newestBuiltAt ?? null,
        loadedAt: loaded?.at ?? null,
        lastAttempt,
        lastSuccess,
        updates: checksPerDay === 0 ? "off" : isReadOnly ? "read-only" : "on",
        keptOut: [...loader.keptOut(), ...(lastNotice === null ? [] : [{ file: null, reason: lastNotice }])],
      };
    },
    async close() {
      ending.abort();
      cancelPoll();
      cancelCheck();
      await starting;
      await work;
    },
  };
}

function minutes(ms: number): string {
  return ms < 120 * 60_000 ? `${Math.ceil(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

/**
 * Tried out: modes alone say nothing about root, a read-only mount or an access list. A directory that is missing is made, as
 * freshclam would. Any other fault, as a full disk, is left to freshclam, which names it.
 */
async function isWritable(directory: string): Promise<boolean> {
  try {
    await mkdir(directory, { recursive: true });
    await rmdir(await mkdtemp(join(directory, ".clamgate-")));
    return true;
  } catch (error) {
    const code = systemCodeOf(error);
    return code !== "EROFS" && code !== "EACCES" && code !== "EPERM" && code !== "ENOENT" && code !== "ENOTDIR";
  }
}

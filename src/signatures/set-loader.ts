/** Takes sets of signatures to the engine one at a time, and remembers which it accepted and which it refused. */

import type { Clock } from "../core/clock.ts";
import { ClamgateError, messageOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import type { Epoch, Epochs } from "./epochs.ts";
import { lostDatabase, refusedFiles, setWithout } from "./refused-files.ts";
import { pauseAfterLossMs } from "./schedule.ts";
import { type FileFault, readSignatureSet, type SignatureSet } from "./signature-set.ts";

/**
 * `set`: the engine has named a fault in it, and it is refused. `engine`: that was not there to try, and is offered the set
 * again at once. `unclear`: the engine was lost in the attempt, or did not end it; it is offered the set again, after a pause
 * that grows with each time.
 */
export type Blame = "set" | "engine" | "unclear";

export type LoadResult =
  /** @property faults of files that were loaded in part or not at all, and did not hinder the others. */
  | { readonly ok: true; readonly faults: readonly FileFault[] }
  /** @property file the name of the file that the engine has stopped at, where it names one. */
  | { readonly ok: false; readonly reason: string; readonly blame: Blame; readonly file?: string };

/** Activates the epoch, has the engine load it and confirms it by the canary; on a failure the former epoch is active again. */
export type LoadEpoch = (epoch: Epoch, set: SignatureSet, signal: AbortSignal) => Promise<LoadResult>;

export interface LoadedSet {
  readonly set: SignatureSet;
  readonly at: Date;
  readonly faults: readonly FileFault[];
}

/** What is there and not in use. */
export interface KeptOut {
  /** Null where it is the whole set. */
  readonly file: string | null;
  /** For people; may name paths. */
  readonly reason: string;
}

export type OfferOutcome =
  | { readonly kind: "loaded" | "unchanged" }
  | { readonly kind: "rejected"; readonly reason: string }
  /** Neither in nor refused: to be offered again, but not before that time of the clock. */
  | { readonly kind: "postponed"; readonly until: number; readonly reason: string };

export interface SetLoader {
  loaded(): LoadedSet | null;
  /**
   * Loads what is in the directory. A file that the engine refuses is left out and the others are loaded; what was loaded of the
   * same database before stays. A file or a set that was refused is refused again unasked until it changes. Never rejects.
   */
  offer(set: SignatureSet): Promise<OfferOutcome>;
  /** What the last offer held and the engine has not loaded. */
  keptOut(): readonly KeptOut[];
  /** Offers what `read` finds, if nothing is loaded by the time it is its turn. Never rejects. */
  offerIfNone(read: () => Promise<SignatureSet | null>): Promise<void>;
}

export interface SetLoaderOptions {
  readonly epochs: Epochs;
  readonly load: LoadEpoch;
  /** False refuses a set of nothing but the built-in test signatures; in any case none such replaces a real one. */
  readonly acceptsTestOnly: boolean;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export function setLoader({ epochs, load, acceptsTestOnly, emit, signal, clock, now }: SetLoaderOptions): SetLoader {
  let loaded: LoadedSet | null = null;
  const refusedOnes = refusedFiles();
  /** A set that was refused as a whole. */
  let refused: { readonly content: string; readonly reason: string } | null = null;
  let keptOut: readonly KeptOut[] = [];
  /** The last one that was unclear. */
  let doubtful: { readonly content: string; readonly losses: number; readonly until: number; readonly reason: string } | null =
    null;
  let lastPostponed: string | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  function serially<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => {});
    return mine;
  }

  async function offer(found: SignatureSet): Promise<OfferOutcome> {
    const before = allKeptOut();
    refusedOnes.review(found);
    const outcome = await withoutRefused(found);
    const whole = "reason" in outcome ? [{ file: null, reason: `${outcome.reason}${newIn(found, loaded)}` }] : [];
    keptOut = [...found.unusable, ...refusedOnes.faults(), ...whole];
    tellChanges(before, allKeptOut());
    return outcome;
  }

  function allKeptOut(): readonly KeptOut[] {
    return [...keptOut, ...(loaded?.faults ?? [])];
  }

  function tellChanges(before: readonly KeptOut[], after: readonly KeptOut[]): void {
    const keys = (all: readonly KeptOut[]) => new Set(all.map(({ file, reason }) => `${file} ${reason}`));
    const [known, present] = [keys(before), keys(after)];
    for (const { file, reason } of after) {
      if (file !== null && !known.has(`${file} ${reason}`)) emit({ kind: "signature-file-kept-out", file, reason });
    }
    for (const { file, reason } of before) {
      if (file === null || present.has(`${file} ${reason}`)) continue;
      emit({ kind: "notice", level: "info", message: `${file} keeps no signatures out any more` });
    }
  }

  async function withoutRefused(found: SignatureSet): Promise<OfferOutcome> {
    for (;;) {
      const names = new Set([...found.unusable, ...refusedOnes.faults()].map(({ file }) => file));
      const usable = names.size === 0 ? found : setWithout(found, names, await readLastGood(epochs).catch(() => null));
      // Where something is loaded, either it has that database, which then stands in, or it goes on without it as before.
      const lost = loaded === null ? lostDatabase(names, usable) : null;
      if (lost !== null) return { kind: "rejected", reason: `it is of little use without ${lost}` };
      const outcome = await take(usable);
      // clamd stops at the first file that it cannot load: what is left may hold another one.
      if (outcome.kind !== "refused-file") return outcome;
      if (!refusedOnes.add(found, outcome)) return { kind: "rejected", reason: outcome.reason };
    }
  }

  async function take(set: SignatureSet): Promise<OfferOutcome | ({ readonly kind: "refused-file" } & FileFault)> {
    if (signal.aborted) return { kind: "postponed", until: clock(), reason: "the gateway is stopping" };
    if (set.id === loaded?.set.id) {
      refused = null;
      return { kind: "unchanged" };
    }
    const content = contentOf(set);
    if (content === refused?.content) return { kind: "rejected", reason: refused.reason };
    const earlier = doubtful?.content === content ? doubtful : null;
    if (earlier !== null && clock() < earlier.until) return { kind: "postponed", until: earlier.until, reason: earlier.reason };
    const result = await tryToLoad(set);
    if (result.ok) {
      refused = null;
      doubtful = null;
      return { kind: "loaded" };
    }
    const { reason, blame, file } = result;
    switch (blame) {
      case "set":
        emit({ kind: "signatures-rejected", set: set.id, reason });
        if (file !== undefined) return { kind: "refused-file", file, reason };
        refused = { content, reason };
        return { kind: "rejected", reason };
      case "engine":
        return postpone(set, reason, 0);
      case "unclear": {
        const losses = (earlier?.losses ?? 0) + 1;
        const pauseMs = pauseAfterLossMs(losses);
        doubtful = { content, losses, until: clock() + pauseMs, reason };
        return postpone(set, reason, pauseMs);
      }
    }
  }

  async function tryToLoad(set: SignatureSet): Promise<LoadResult> {
    const unfit = unfitness(set);
    if (unfit !== null) return { ok: false, reason: unfit, blame: "set" };
    const startedAt = clock();
    try {
      const epoch = await epochs.prepare(set);
      signal.throwIfAborted();
      const result = await load(epoch, set, signal);
      if (!result.ok) {
        await tidy();
        return result;
      }
      loaded = { set, at: new Date(now()), faults: result.faults };
      lastPostponed = null;
      emit({
        kind: "signatures-loaded",
        set: set.id,
        files: set.files.length,
        isTestOnly: set.isTestOnly,
        seconds: (clock() - startedAt) / 1000,
      });
      // Test signatures are no refuge for a later start: that one may be a production start.
      await tidy(set.isTestOnly ? null : epoch);
      return result;
    } catch (error) {
      // A full disk, a file replaced in between, a fault of ours: none of them makes the set a bad one.
      await tidy();
      return { ok: false, reason: messageOf(error), blame: "engine" };
    }
  }

  function unfitness(set: SignatureSet): string | null {
    if (set.isEmpty) return "there are no usable signatures in it";
    const mayBeTestOnly = acceptsTestOnly && loaded?.set.isTestOnly !== false;
    if (set.isTestOnly && !mayBeTestOnly) return "there are only the built-in test signatures in it";
    return null;
  }

  function postpone(set: SignatureSet, reason: string, pauseMs: number): OfferOutcome {
    const when = pauseMs === 0 ? "" : ` in ${pauseMs / 1000} s`;
    const message = `signatures ${set.id} could not be loaded, to be tried again${when}: ${reason}`;
    // Tried again at every look at the directory: told once.
    if (!signal.aborted && message !== lastPostponed) emit({ kind: "notice", level: "error", message });
    lastPostponed = message;
    return { kind: "postponed", until: clock() + pauseMs, reason };
  }

  /** What cannot be recorded or removed now is, after the next load. */
  async function tidy(newGood: Epoch | null = null): Promise<void> {
    try {
      if (newGood !== null) await epochs.recordGood(newGood);
      const good = await epochs.lastGood();
      await epochs.prune([loaded?.set.id, good?.id].filter((id) => id !== undefined));
    } catch (error) {
      emit({ kind: "notice", level: "warn", message: `old signatures could not be tidied up: ${String(error)}` });
    }
  }

  return {
    loaded: () => loaded,
    offer: (found) => serially(() => offer(found)),
    keptOut: allKeptOut,
    offerIfNone: (read) =>
      serially(async () => {
        if (loaded !== null || signal.aborted) return;
        try {
          const set = await read();
          if (set !== null) await take(set);
        } catch (error) {
          const message = error instanceof ClamgateError ? error.message : String(error);
          emit({ kind: "notice", level: "error", message });
        }
      }),
  };
}

/** Where nobody names a file, one of these is to be looked at. */
function newIn({ files }: SignatureSet, loaded: LoadedSet | null): string {
  if (loaded === null) return "";
  const known = new Set(loaded.set.files.map(({ name, sha256 }) => `${name} ${sha256}`));
  const names = files.filter(({ name, sha256 }) => !known.has(`${name} ${sha256}`)).map(({ name }) => name);
  return names.length === 0 ? "" : `; new in it: ${names.slice(0, 5).join(", ")}${names.length > 5 ? " and others" : ""}`;
}

/** The set that was loaded last by an earlier start, when it is still whole. */
export async function readLastGood(epochs: Epochs): Promise<SignatureSet | null> {
  const epoch = await epochs.lastGood();
  if (epoch === null) return null;
  const set = await readSignatureSet(epoch.directory);
  return set.id === epoch.id ? set : null;
}

/** A late `.sign` file changes no id, but may well be what a refused set was missing. */
function contentOf(set: SignatureSet): string {
  return [set.id, ...set.companions.map(({ name, sha256 }) => `${name}:${sha256}`)].join(" ");
}

/** Takes sets of signatures to the engine one at a time, and remembers which it accepted and which it refused. */

import { ClamgateError } from "../core/errors.ts";
import type { Clock, Observe } from "../core/ports.ts";
import type { Epoch, Epochs } from "./epochs.ts";
import { pauseAfterLossMs } from "./schedule.ts";
import { readSignatureSet, type SignatureSet } from "./signature-set.ts";

/**
 * `set`: the engine has named a fault in it, and it is refused. `engine`: that was not there to try, and is offered the set
 * again at once. `unclear`: the engine was lost in the attempt, or did not end it; it is offered the set again, after a pause
 * that grows with each time.
 */
export type Blame = "set" | "engine" | "unclear";

export type LoadResult = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly blame: Blame };

/** Activates the epoch, has the engine load it and confirms it by the canary; on a failure the former epoch is active again. */
export type LoadEpoch = (epoch: Epoch, set: SignatureSet, signal: AbortSignal) => Promise<LoadResult>;

export interface LoadedSet {
  readonly set: SignatureSet;
  readonly at: Date;
}

export type OfferOutcome =
  | { readonly kind: "loaded" | "unchanged" | "rejected" }
  /** Neither in nor refused: to be offered again, but not before that time of the clock. */
  | { readonly kind: "postponed"; readonly until: number };

export interface SetLoader {
  loaded(): LoadedSet | null;
  /** Never rejects. A set that was refused is refused again unasked, until another one has been offered. */
  offer(set: SignatureSet): Promise<OfferOutcome>;
  /** Offers what `read` finds, if nothing is loaded by the time it is its turn. Never rejects. */
  offerIfNone(read: () => Promise<SignatureSet | null>): Promise<void>;
}

export interface SetLoaderOptions {
  readonly epochs: Epochs;
  readonly load: LoadEpoch;
  /** False refuses a set of nothing but the built-in test signatures; in any case none such replaces a real one. */
  readonly acceptsTestOnly: boolean;
  readonly observe: Observe;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export function setLoader({ epochs, load, acceptsTestOnly, observe, signal, clock, now }: SetLoaderOptions): SetLoader {
  let loaded: LoadedSet | null = null;
  let refused: string | null = null;
  /** The last one that was unclear. */
  let doubtful: { readonly content: string; readonly losses: number; readonly until: number } | null = null;
  let lastPostponed: string | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  function serially<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => {});
    return mine;
  }

  async function take(set: SignatureSet): Promise<OfferOutcome> {
    if (signal.aborted) return { kind: "postponed", until: clock() };
    if (set.id === loaded?.set.id) {
      refused = null;
      return { kind: "unchanged" };
    }
    const content = contentOf(set);
    if (content === refused) return { kind: "rejected" };
    const earlier = doubtful?.content === content ? doubtful : null;
    if (earlier !== null && clock() < earlier.until) return { kind: "postponed", until: earlier.until };
    const result = await tryToLoad(set);
    if (result.ok) {
      refused = null;
      doubtful = null;
      return { kind: "loaded" };
    }
    switch (result.blame) {
      case "set":
        refused = content;
        observe({ kind: "signatures-rejected", set: set.id, reason: result.reason });
        return { kind: "rejected" };
      case "engine":
        return postpone(set, result.reason, 0);
      case "unclear": {
        const losses = (earlier?.losses ?? 0) + 1;
        const pauseMs = pauseAfterLossMs(losses);
        doubtful = { content, losses, until: clock() + pauseMs };
        return postpone(set, result.reason, pauseMs);
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
      loaded = { set, at: new Date(now()) };
      lastPostponed = null;
      observe({
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
      return { ok: false, reason: error instanceof Error ? error.message : String(error), blame: "engine" };
    }
  }

  function unfitness(set: SignatureSet): string | null {
    if (set.isEmpty) return "there are no signatures in it";
    const mayBeTestOnly = acceptsTestOnly && loaded?.set.isTestOnly !== false;
    if (set.isTestOnly && !mayBeTestOnly) return "there are only the built-in test signatures in it";
    return null;
  }

  function postpone(set: SignatureSet, reason: string, pauseMs: number): OfferOutcome {
    const when = pauseMs === 0 ? "" : ` in ${pauseMs / 1000} s`;
    const message = `signatures ${set.id} could not be loaded, to be tried again${when}: ${reason}`;
    // Tried again at every look at the directory: told once.
    if (!signal.aborted && message !== lastPostponed) observe({ kind: "notice", level: "error", message });
    lastPostponed = message;
    return { kind: "postponed", until: clock() + pauseMs };
  }

  /** What cannot be recorded or removed now is, after the next load. */
  async function tidy(newGood: Epoch | null = null): Promise<void> {
    try {
      if (newGood !== null) await epochs.recordGood(newGood);
      const good = await epochs.lastGood();
      await epochs.prune([loaded?.set.id, good?.id].filter((id) => id !== undefined));
    } catch (error) {
      observe({ kind: "notice", level: "warn", message: `old signatures could not be tidied up: ${String(error)}` });
    }
  }

  return {
    loaded: () => loaded,
    offer: (set) => serially(() => take(set)),
    offerIfNone: (read) =>
      serially(async () => {
        if (loaded !== null || signal.aborted) return;
        try {
          const set = await read();
          if (set !== null) await take(set);
        } catch (error) {
          const message = error instanceof ClamgateError ? error.message : String(error);
          observe({ kind: "notice", level: "error", message });
        }
      }),
  };
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

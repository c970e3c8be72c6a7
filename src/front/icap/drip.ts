/** Keeps an impatient web proxy with a few bytes of the body's own beginning, too few to be of use to a virus. */

import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../../core/clock.ts";

export interface DripPace {
  /** Nothing before that. */
  readonly afterMs: number;
  /** Between two bytes; twice as long once half of them have been sent. */
  readonly intervalMs: number;
}

/** Below the 68 of EICAR, the shortest thing that is called a virus. */
export const maxDripBytes = 64;

export interface DripSource {
  /** Whether a byte may go out at all by now. */
  readonly mayBegin: () => boolean;
  /** What has come of the body: its beginning, and how much. */
  readonly prefix: () => Uint8Array;
  readonly receivedBytes: () => number;
  /** Sends it; before the first one the head. */
  readonly send: (byte: Uint8Array) => Promise<void>;
}

/**
 * Resolves when `outcome` is there, however it is, with the number of bytes sent: a true prefix that never includes the last byte.
 * Rejects only where the client has gone.
 */
export async function dripUntilSettled(
  outcome: Promise<unknown>,
  source: DripSource,
  pace: DripPace,
  signal: AbortSignal,
): Promise<number> {
  const settled = outcome.then(
    () => true,
    () => true,
  );
  let sent = 0;
  let waitMs = pace.afterMs;
  for (;;) {
    const waiting = new AbortController();
    const pause = delay(waitMs, false, { signal: AbortSignal.any([signal, waiting.signal]) }).catch(() => false);
    const isSettled = await Promise.race([settled, pause]);
    waiting.abort();
    // Whoever waits for the outcome hears of the client's leave there.
    if (isSettled || signal.aborted) return sent;
    waitMs = sent * 2 >= maxDripBytes ? 2 * pace.intervalMs : pace.intervalMs;
    const prefix = source.prefix();
    if (!source.mayBegin() || sent >= Math.min(maxDripBytes, prefix.length) || sent + 1 >= source.receivedBytes()) continue;
    await source.send(prefix.slice(sent, sent + 1));
    sent += 1;
  }
}

/** Addresses whose drip was cut: the next answer of theirs is not dripped, so that its client is told why. */
export interface CutUrls {
  add(url: string): void;
  has(url: string): boolean;
}

export interface CutUrlsOptions {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
}

/** @param options `url` may be any name for it, as a digest. */
export function createCutUrls({ ttlMs, maxEntries, clock }: CutUrlsOptions): CutUrls {
  const expiries = new Map<string, number>();
  return {
    add(url) {
      expiries.delete(url);
      expiries.set(url, clock() + ttlMs);
      const [oldest] = expiries.keys();
      if (expiries.size > maxEntries && oldest !== undefined) expiries.delete(oldest);
    },
    has: (url) => clock() < (expiries.get(url) ?? Number.NEGATIVE_INFINITY),
  };
}

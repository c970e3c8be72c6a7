/** Keeps an impatient client with a few bytes of a body's own beginning, too few to be of use to a virus (download-proxy.md 2.3). */

import { setTimeout as delay } from "node:timers/promises";

export interface TricklePace {
  /** Nothing before that; shorter than the shortest patience in front. */
  readonly afterMs: number;
  /** Between two bytes; twice as long once half of them have been sent. */
  readonly intervalMs: number;
  /** In all: below the 68 of EICAR, the shortest thing that is called a virus. */
  readonly maxBytes: number;
}

export const trickleDefaults: TricklePace = { afterMs: 10_000, intervalMs: 10_000, maxBytes: 64 };

export interface TrickleSource {
  /** What has come of the body by now; null while no byte of it may go out. */
  readonly arrived: () => Arrived | null;
  readonly send: (byte: Uint8Array) => Promise<void>;
}

export interface Arrived {
  /** At least as long as what may go out, where so much has come. */
  readonly prefix: Uint8Array;
  /** The last one of them never goes out. */
  readonly bytes: number;
}

/** Resolves when `outcome` is there, however it is, or the signal is aborted; rejects as `send`. */
export async function trickleUntilSettled(
  outcome: Promise<unknown>,
  source: TrickleSource,
  pace: TricklePace,
  signal: AbortSignal,
): Promise<void> {
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
    if (isSettled || signal.aborted) return;
    const arrived = source.arrived();
    if (arrived !== null && sent < Math.min(pace.maxBytes, arrived.prefix.length) && sent + 1 < arrived.bytes) {
      await source.send(arrived.prefix.slice(sent, sent + 1));
      sent += 1;
    }
    waitMs = sent * 2 >= pace.maxBytes ? 2 * pace.intervalMs : pace.intervalMs;
  }
}

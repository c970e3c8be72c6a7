/** Keeps an impatient client with a few bytes of the object's own beginning, too few to be of use to a virus (download-proxy.md 2.3, H1-H6). */

import { setTimeout as delay } from "node:timers/promises";
import type { Download, DownloadHead } from "../download.ts";

export interface DripPace {
  /** Nothing before that; shorter than the shortest patience in front. */
  readonly afterMs: number;
  /** Between two bytes; twice as long once half of them have been sent. */
  readonly intervalMs: number;
  /** In all: below the 68 of EICAR, the shortest thing that is called a virus. */
  readonly maxBytes: number;
}

export const dripDefaults: DripPace = { afterMs: 10_000, intervalMs: 10_000, maxBytes: 64 };

export interface DripClient {
  /** Sends the head, before the first byte. */
  begin(head: DownloadHead): void;
  send(byte: Uint8Array): Promise<void>;
  /** A client that cannot tell a cut body from a whole one (H4) gets a head only where the length is known. */
  readonly knowsChunks: boolean;
  readonly signal: AbortSignal;
}

/**
 * Resolves when the outcome is there, however it is, with the number of bytes sent. Rejects only where the client has gone.
 * The bytes are a true prefix, and never include the last one.
 */
export async function dripUntilSettled(download: Download, client: DripClient, pace: DripPace): Promise<number> {
  const settled = download.outcome.then(
    () => true,
    () => true,
  );
  let sent = 0;
  let waitMs = pace.afterMs;
  for (;;) {
    const waiting = new AbortController();
    const signal = AbortSignal.any([client.signal, waiting.signal]);
    const isSettled = await Promise.race([settled, pause(waitMs, signal)]);
    waiting.abort();
    client.signal.throwIfAborted();
    if (isSettled) return sent;
    const { head, prefix, receivedBytes } = download.progress();
    waitMs = sent * 2 >= pace.maxBytes ? 2 * pace.intervalMs : pace.intervalMs;
    if (head === null || !mayDrip(head, client) || sent >= pace.maxBytes || sent >= prefix.length) continue;
    const size = head.declaredBytes ?? receivedBytes;
    if (sent + 1 >= Math.min(size, receivedBytes)) continue;
    if (sent === 0) client.begin(head);
    await client.send(prefix.slice(sent, sent + 1));
    sent += 1;
  }
}

/** Once a status is sent it cannot be taken back, so only the one that will most likely be it. */
function mayDrip({ status, declaredBytes }: DownloadHead, { knowsChunks }: DripClient): boolean {
  return status === 200 && (declaredBytes !== null || knowsChunks);
}

async function pause(ms: number, signal: AbortSignal): Promise<false> {
  await delay(ms, undefined, { signal }).catch(() => {}); // no longer needed
  return false;
}

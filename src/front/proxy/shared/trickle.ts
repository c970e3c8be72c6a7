/** Keeps an impatient client with a few bytes of the object's own beginning, too few to be of use to a virus (download-proxy.md 2.3, H1-H6). */

import { setTimeout as delay } from "node:timers/promises";
import { ActiveSet } from "../../../core/active-set.ts";
import type { Clock } from "../../../core/clock.ts";
import type { UrlVerdict, UrlVerdictCache } from "../../../core/verdict-cache.ts";
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

export interface CutDrips {
  /** From the first byte of a drip; to be called again at its end. */
  run(address: string): () => void;
  isRunning(address: string): boolean;
  /**
   * @param address `AddressKeys.address`: whoever asks for it, and with whatever headers.
   * @param found null where the bytes have no verdict.
   */
  add(address: string, found: UrlVerdict | null): void;
  /** Null where there was none; `found` as it was added. */
  get(address: string): Promise<{ readonly found: UrlVerdict | null } | null>;
}

export interface CutDripsOptions {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
  /** Tells other gateways of what was found, under a tag of its own: new signatures do not end it. */
  readonly urlVerdicts: UrlVerdictCache;
  /** False while no source drips: then there is nothing that others could tell. */
  readonly isShared: () => boolean;
}

const tag = "cut-drip";

export function createCutDrips({ ttlMs, maxEntries, clock, urlVerdicts, isShared }: CutDripsOptions): CutDrips {
  const cuts = new Map<string, { readonly found: UrlVerdict | null; readonly expiresAt: number }>();
  const running = new ActiveSet<string>();
  return {
    run: (address) => running.add(address),
    isRunning: (address) => running.items().includes(address),
    add(address, found) {
      cuts.delete(address);
      cuts.set(address, { found, expiresAt: clock() + ttlMs });
      for (const oldest of cuts.keys()) {
        if (cuts.size <= maxEntries) break;
        cuts.delete(oldest);
      }
      if (found !== null) urlVerdicts.set({ address, tag }, found, ttlMs / 1000);
    },
    async get(address) {
      const cut = cuts.get(address);
      if (cut !== undefined && clock() < cut.expiresAt) return cut;
      cuts.delete(address);
      if (!isShared()) return null;
      const key = { address, tag };
      const found = urlVerdicts.peek(key) ?? (urlVerdicts.get === undefined ? null : await urlVerdicts.get(key));
      return found === null ? null : { found };
    },
  };
}

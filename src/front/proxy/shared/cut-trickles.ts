/**
 * Addresses whose trickle was cut: whatever comes next, they are refused for a while, since bytes of what was cut are out (download-proxy.md
 * 2.3). And those whose trickle runs: bytes are out of a copy that nobody knows yet.
 */

import { AgingMap } from "../../../core/aging-map.ts";
import type { Clock } from "../../../core/clock.ts";
import { ActiveSet } from "../../../core/queues/active-set.ts";
import type { UrlVerdict, UrlVerdictCache } from "../../../core/verdict-cache.ts";

export interface CutTrickles {
  /** From the first byte of a trickle; to be called again at its end. */
  run(address: string): () => void;
  isRunning(address: string): boolean;
  /**
   * @param address `AddressKeys.address`: whoever asks for it, and with whatever headers.
   * @param found null where the bytes have no verdict.
   */
  add(address: string, found: UrlVerdict | null): void;
  /** Null where there was none; `found` as it was added. */
  get(address: string): Cut | null | Promise<Cut | null>;
}

export interface Cut {
  readonly found: UrlVerdict | null;
}

export interface CutTricklesOptions {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
  /** Tells other gateways of what was found, under a tag of its own: new signatures do not end it. */
  readonly urlVerdicts: UrlVerdictCache;
  /** False while no source trickles: then there is nothing that others could tell. */
  readonly isShared: () => boolean;
}

const tag = "cut-trickle";

export function createCutTrickles({ ttlMs, maxEntries, clock, urlVerdicts, isShared }: CutTricklesOptions): CutTrickles {
  const cuts = new AgingMap<Cut>({ ttlMs, maxEntries, clock });
  const running = new ActiveSet<string>();
  return {
    run: (address) => running.add(address),
    isRunning: (address) => running.items().includes(address),
    add(address, found) {
      cuts.set(address, { found });
      if (found !== null) urlVerdicts.set({ address, tag }, found, ttlMs / 1000);
    },
    get(address) {
      const cut = cuts.get(address);
      if (cut !== null) return cut;
      if (!isShared()) return null;
      const found = urlVerdicts.peek({ address, tag });
      if (found !== null) return { found };
      return urlVerdicts.get?.({ address, tag }).then((stored) => (stored === null ? null : { found: stored })) ?? null;
    },
  };
}

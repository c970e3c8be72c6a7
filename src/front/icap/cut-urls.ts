/** Addresses whose trickle was cut: the next answer of theirs does not trickle, so that its client is told why. */

import type { Clock } from "../../core/clock.ts";

export interface CutUrls {
  /** @param url any name for it, as a digest. */
  add(url: string): void;
  has(url: string): boolean;
}

export interface CutUrlsOptions {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
}

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

/** Bodies during whose scan a backend was lost: the second loss, in the same request or a later one, is taken for the body's doing. */

import type { Clock } from "../core/ports.ts";

export interface LossesOptions {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
}

export interface Losses {
  /** Counts one more and returns how many there have been, each within `ttlMs` of the one before. */
  add(sha256: string): number;
  /** The body was scanned after all. */
  clear(sha256: string): void;
}

export function createLosses({ ttlMs, maxEntries, clock }: LossesOptions): Losses {
  const entries = new Map<string, { readonly count: number; readonly expiresAt: number }>();
  return {
    add(sha256) {
      const entry = entries.get(sha256);
      const count = entry !== undefined && clock() < entry.expiresAt ? entry.count + 1 : 1;
      entries.delete(sha256);
      entries.set(sha256, { count, expiresAt: clock() + ttlMs });
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries) break;
        entries.delete(oldest);
      }
      return count;
    },
    clear(sha256) {
      entries.delete(sha256);
    },
  };
}

/** Bodies that cost the engine its time or its life: answered at once for a while instead of being scanned again. */

import type { Clock } from "./clock.ts";
import type { Verdict } from "./verdict.ts";

export interface DoNotRetryOptions {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
}

export interface DoNotRetry {
  /** @param key digest and engine tag: new signatures give every body another chance. */
  add(key: string, reason: "limit-time" | "poison"): void;
  find(key: string): Verdict | null;
}

export function createDoNotRetry({ ttlMs, maxEntries, clock }: DoNotRetryOptions): DoNotRetry {
  const entries = new Map<string, { readonly verdict: Verdict; readonly expiresAt: number }>();
  return {
    add(key, reason) {
      entries.delete(key);
      entries.set(key, { verdict: { kind: "unscannable", reason, heuristic: null }, expiresAt: clock() + ttlMs });
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries) break;
        entries.delete(oldest);
      }
    },
    find(key) {
      const entry = entries.get(key);
      if (entry === undefined) return null;
      if (clock() < entry.expiresAt) return entry.verdict;
      entries.delete(key);
      return null;
    },
  };
}

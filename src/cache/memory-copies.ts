/** Given copies in this process's memory: gone with it. */

import { type GivenCopies, givenSeconds } from "../core/ports.ts";
import { added, forgottenRecord, knownCopies, lineOf } from "./given-record.ts";

export interface MemoryCopiesOptions {
  /** Addresses; beyond it the one goes of which nothing was given for the longest time. Each takes some 300 bytes. */
  readonly maxEntries: number;
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

export function memoryCopies({ maxEntries, now }: MemoryCopiesOptions): GivenCopies {
  /** The last given at the end. */
  const records = new Map<string, { readonly text: string; readonly at: number }>();
  /** Until then an address without a record may have had one. */
  let forgottenUntil = Number.NEGATIVE_INFINITY;
  return {
    async give(address, copy) {
      const at = Math.floor(now() / 1000);
      const record = records.get(address)?.text ?? (at < forgottenUntil ? forgottenRecord(forgottenUntil - givenSeconds) : null);
      const text = added(record, lineOf(copy), at);
      records.delete(address);
      records.set(address, { text, at });
      for (const [oldest, { at: givenAt }] of records) {
        if (records.size <= maxEntries) break;
        records.delete(oldest);
        forgottenUntil = Math.max(forgottenUntil, givenAt + givenSeconds);
      }
      return knownCopies(text);
    },
    async close() {
      records.clear();
    },
  };
}

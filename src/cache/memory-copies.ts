/** Given copies in this process's memory: gone with it. */

import { LRUCache } from "lru-cache";
import { type GivenCopies, givenSeconds } from "../core/given-copies.ts";
import { added, forgottenRecord, knownCopies, lineOf } from "./given-record.ts";

export interface MemoryCopiesOptions {
  /** Addresses; beyond it the one goes of which nothing was given for the longest time. Each takes some 300 bytes. */
  readonly maxEntries: number;
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

export function memoryCopies({ maxEntries, now }: MemoryCopiesOptions): GivenCopies {
  /** Until then an address without a record may have had one. */
  let forgottenUntil = Number.NEGATIVE_INFINITY;
  const records = new LRUCache<string, { readonly text: string; readonly at: number }>({
    max: maxEntries,
    dispose({ at }, _address, reason) {
      if (reason === "evict") forgottenUntil = Math.max(forgottenUntil, at + givenSeconds);
    },
  });
  return {
    async give(address, copy) {
      const at = Math.floor(now() / 1000);
      const record = records.get(address)?.text ?? (at < forgottenUntil ? forgottenRecord(forgottenUntil - givenSeconds) : null);
      const text = added(record, lineOf(copy), at);
      records.set(address, { text, at });
      return knownCopies(text);
    },
    async close() {
      records.clear();
    },
  };
}

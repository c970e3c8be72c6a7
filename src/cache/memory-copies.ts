/** Given copies in this process's memory: gone with it. */

import { LRUCache } from "lru-cache";
import { type GivenCopies, givenSeconds, type KnownCopies } from "../core/given-copies.ts";
import { added, forgottenRecord, isFresh, knownCopies, lineOf } from "./given-record.ts";

/** The records of addresses. All times are whole seconds of one clock, the wall's. */
export class CopiesMemory {
  readonly #records: LRUCache<string, { readonly text: string; readonly at: number }>;
  /** Something may have been given until then of an address without a record. */
  #forgottenAt = Number.NEGATIVE_INFINITY;

  /** @param maxEntries addresses; beyond it the one goes of which nothing was given for the longest time. Each takes some 300 bytes. */
  constructor(maxEntries: number) {
    this.#records = new LRUCache({
      max: maxEntries,
      dispose: ({ at }, _address, reason) => {
        if (reason === "evict") this.#forgottenAt = Math.max(this.#forgottenAt, at);
      },
    });
  }

  /** @param line `lineOf` a copy. */
  add(address: string, line: string, at: number): void {
    this.#records.set(address, { text: added(this.#recordOf(address, at), line, at), at });
  }

  /** Whether that copy was added so lately that it need not be added again. */
  isFresh(address: string, line: string, at: number): boolean {
    const record = this.#records.get(address);
    return record !== undefined && isFresh(record.text, line, at);
  }

  known(address: string, at: number): KnownCopies | null {
    const record = this.#recordOf(address, at);
    return record === null ? null : knownCopies(record, at);
  }

  /** There may be copies, given until then, of which nothing is known here. */
  forget(at: number): void {
    this.#records.clear();
    this.#forgottenAt = Math.max(this.#forgottenAt, at);
  }

  #recordOf(address: string, at: number): string | null {
    const record = this.#records.get(address);
    if (record !== undefined) return record.text;
    return at - this.#forgottenAt < givenSeconds ? forgottenRecord(this.#forgottenAt) : null;
  }
}

export interface MemoryCopiesOptions {
  readonly maxEntries: number;
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

export function memoryCopies({ maxEntries, now }: MemoryCopiesOptions): GivenCopies {
  const memory = new CopiesMemory(maxEntries);
  return {
    give(address, copy, isWhole = false) {
      const at = Math.floor(now() / 1000);
      memory.add(address, lineOf(copy), at);
      return isWhole ? null : memory.known(address, at);
    },
    health: () => "ok",
    close: async () => {},
  };
}

/** Given copies in an SQLite file, so that a restart forgets none of them. Each is written before its first byte goes out. */

import { resolve } from "node:path";
import type { Emit } from "../../core/events.ts";
import { type Copy, type GivenCopies, givenSeconds, type KnownCopies } from "../../core/given-copies.ts";
import type { CacheHealth } from "../../core/verdict-cache.ts";
import { added, forgottenRecord, isRecord, knownCopies, lineOf } from "../given-record.ts";
import { openVerdictFile } from "./open-verdict-file.ts";
import type { VerdictFile } from "./verdict-file.ts";

export interface SqliteCopiesOptions {
  /** Of a file for these alone, as `SqliteCacheOptions.path`. */
  readonly path: string;
  /** Addresses; beyond it the one goes of which nothing was given for the longest time. */
  readonly maxEntries: number;
  readonly emit: Emit;
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

interface Waiting {
  readonly address: string;
  readonly copy: Copy;
  readonly resolve: (known: KnownCopies | null) => void;
  readonly reject: (reason: unknown) => void;
}

const tag = "given";
/** Of the one row that says until when an address without a row may have had one. Its time is when it expires. */
const forgottenKey = { sha256: "00".repeat(32), tag: "forgotten" };

/** To look for expired rows costs as much as to write one. */
const expiredEvery = 256;

/** A transaction costs twice what a row in it does. While several come at a time, they wait this long for more. */
const gatherMs = 2;

/** `give` rejects where the file fails: the guard in front makes that null. */
export function sqliteCopies(options: SqliteCopiesOptions): GivenCopies {
  return new SqliteCopies(options);
}

class SqliteCopies implements GivenCopies {
  readonly #options: SqliteCopiesOptions;
  #file: VerdictFile | null;
  #waiting: Waiting[] = [];
  /** The last transaction had several. */
  #isGathering = false;
  #sinceExpired = 0;
  /** Until then, in seconds, an address without a row may have had one. */
  #forgottenUntil = Number.NEGATIVE_INFINITY;

  constructor(options: SqliteCopiesOptions) {
    this.#options = options;
    let isReplaced = false;
    const file = openVerdictFile(resolve(options.path), options.emit, () => {
      isReplaced = true;
    });
    this.#file = file;
    if (file !== null) this.#recallForgotten(file, isReplaced);
  }

  /** All that are asked in one turn of the event loop share a transaction. A client alone waits for nobody. */
  give(address: string, copy: Copy): Promise<KnownCopies | null> {
    const { promise, resolve, reject } = Promise.withResolvers<KnownCopies | null>();
    if (this.#waiting.length === 0) this.#commitSoon();
    this.#waiting.push({ address, copy, resolve, reject });
    return promise;
  }

  health(): CacheHealth {
    return this.#file === null ? "degraded" : "ok";
  }

  async close(): Promise<void> {
    this.#commit();
    this.#file?.close();
    this.#file = null;
  }

  #commitSoon(): void {
    if (this.#isGathering) setTimeout(() => this.#commit(), gatherMs);
    else setImmediate(() => this.#commit());
  }

  #commit(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    this.#isGathering = waiting.length > 1;
    const file = this.#file;
    if (file === null) {
      for (const { resolve } of waiting) resolve(null);
      return;
    }
    const at = Math.floor(this.#options.now() / 1000);
    try {
      const known: (KnownCopies | null)[] = [];
      file.transact(() => {
        for (const one of waiting) known.push(this.#add(file, one, at));
        this.#prune(file, at, waiting.length);
      });
      for (const [place, { resolve }] of waiting.entries()) resolve(known[place] ?? null);
    } catch (thrown) {
      for (const { reject } of waiting) reject(thrown);
    }
  }

  #add(file: VerdictFile, { address, copy }: Waiting, at: number): KnownCopies | null {
    const text = added(this.#recordOf(file, address, at), lineOf(copy), at);
    file.put({ sha256: address, tag, verdict: text, storedAt: at * 1000, expiresAt: (at + givenSeconds) * 1000 });
    return knownCopies(text);
  }

  #recordOf(file: VerdictFile, address: string, at: number): string | null {
    const row = file.find(address, tag);
    if (row === null) return at < this.#forgottenUntil ? forgottenRecord(this.#forgottenUntil - givenSeconds) : null;
    if (isRecord(row.verdict)) return row.verdict;
    this.#options.emit({ kind: "cache-failed", operation: "get", detail: "a row holds nothing that belongs there" });
    return forgottenRecord(at);
  }

  /** Deletes up to twice as many as were brought, so that it catches up. */
  #prune(file: VerdictFile, at: number, brought: number): void {
    this.#sinceExpired += brought;
    if (this.#sinceExpired >= expiredEvery) {
      file.deleteExpired(at * 1000, 2 * this.#sinceExpired);
      this.#sinceExpired = 0;
    }
    const excess = file.count - this.#options.maxEntries;
    if (excess <= 0) return;
    file.deleteSoonest(Math.min(excess, 2 * brought));
    this.#forget(file, at);
  }

  /** @param isReplaced what was there before is not to be read any more. */
  #recallForgotten(file: VerdictFile, isReplaced: boolean): void {
    try {
      const until = file.find(forgottenKey.sha256, forgottenKey.tag)?.expiresAt;
      if (typeof until === "number") this.#forgottenUntil = until / 1000;
      if (isReplaced) file.transact(() => this.#forget(file, Math.floor(this.#options.now() / 1000)));
    } catch (thrown) {
      const detail = thrown instanceof Error ? thrown.message : String(thrown);
      this.#options.emit({ kind: "cache-failed", operation: "open", detail });
      this.#file = null;
      file.close();
    }
  }

  #forget(file: VerdictFile, at: number): void {
    this.#forgottenUntil = at + givenSeconds;
    file.put({ ...forgottenKey, verdict: "", storedAt: at * 1000, expiresAt: this.#forgottenUntil * 1000 });
  }
}

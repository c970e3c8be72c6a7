/** Verdicts in an SQLite file: they survive a restart. Scans wait for memory only; the disk is written behind them. */

import { resolve } from "node:path";
import { LRUCache } from "lru-cache";
import type { Clock } from "../../core/clock.ts";
import type { Emit } from "../../core/events.ts";
import type { Cache, CacheHealth, VerdictCache, VerdictKey } from "../../core/verdict-cache.ts";
import { Breaker } from "../breaker.ts";
import { admit, keyId, type Parse, parseStored, parseVerdict, storedText } from "../cacheable.ts";
import { systemTimers, type Timers } from "../timers.ts";
import { isDamaged, openVerdictFile } from "./open-verdict-file.ts";
import { TagAges } from "./tag-ages.ts";
import type { FoundRow, VerdictFile } from "./verdict-file.ts";

export interface SqliteCacheOptions {
  /** Of a file in a directory of the gateway's; both are made where missing. */
  readonly path: string;
  /** At least 1; beyond it those that would expire first go. A row takes some 200 bytes on disk. */
  readonly maxEntries: number;
  readonly emit: Emit;
  readonly clock: Clock;
  /** The wall clock in milliseconds, as Date.now: rows outlive the process, whose own clock starts anew. */
  readonly now: () => number;
  readonly timers?: Timers;
  /** Verdicts kept in memory in front of the file. */
  readonly frontEntries?: number;
}

interface Entry<Value> {
  readonly key: VerdictKey;
  readonly value: Value;
  readonly storedAt: number;
  readonly expiresAt: number;
}

/** A crash loses at most the verdicts of this time: their bodies are scanned again. */
const flushMs = 25;
const maxFlushMs = 30_000;
/** Rows in one transaction: a few milliseconds. */
const maxBatch = 250;
/** Kept for a disk that is slow or full; beyond it the oldest are lost. */
const maxPending = 10_000;
const maxPruned = 2 * maxBatch;
const tagIdleMs = 3_600_000;
const tagSweepMs = 60_000;

/**
 * Opens the file at once. Where there cannot be one (emitted as `open`), the cache works and always misses; where it turns
 * out to be damaged or gone later, it is put aside and replaced, once.
 */
export function sqliteCache(options: SqliteCacheOptions): VerdictCache {
  return sqliteCacheOf(parseVerdict, options);
}

/** Values of one kind need a file of their own. */
export function sqliteCacheOf<Value>(parse: Parse<Value>, options: SqliteCacheOptions): Cache<Value> {
  return new SqliteCache(parse, { ...options, path: resolve(options.path) });
}

class SqliteCache<Value> implements Cache<Value> {
  readonly #parse: Parse<Value>;
  readonly #options: SqliteCacheOptions;
  readonly #timers: Timers;
  readonly #front: LRUCache<string, Entry<Value>>;
  #pending = new Map<string, Entry<Value>>();
  readonly #breaker: Breaker;
  readonly #tagAges: TagAges;
  #file: VerdictFile | null;
  #isReplaced = false;
  #isClosed = false;
  #cancelFlush: (() => void) | null = null;
  #failedFlushes = 0;
  #sweptAtMs: number;

  constructor(parse: Parse<Value>, options: SqliteCacheOptions) {
    this.#parse = parse;
    const { clock } = options;
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#front = new LRUCache({ max: options.frontEntries ?? 4096 });
    this.#breaker = new Breaker({ clock, maxFaults: 3, pauseMs: 5000 });
    this.#tagAges = new TagAges({ clock, maxIdleMs: tagIdleMs });
    this.#sweptAtMs = clock();
    this.#file = openVerdictFile(options.path, options.emit);
  }

  peek(key: VerdictKey): Value | null {
    const id = keyId(key);
    if (id === null || this.#file === null) return null;
    this.#tagAges.use(key.tag);
    return this.#held(id)?.value ?? null;
  }

  async get(key: VerdictKey): Promise<Value | null> {
    const id = keyId(key);
    if (id === null || this.#file === null) return null;
    this.#tagAges.use(key.tag);
    const held = this.#held(id);
    if (held !== null) return held.value;
    const found = this.#find(this.#file, key);
    if (found === null) return null;
    this.#front.set(id, found);
    return found.value;
  }

  async set(key: VerdictKey, value: Value, ttlSeconds: number): Promise<void> {
    const admission = admit(key, value, ttlSeconds, this.#parse);
    if (admission === null || storedText(admission.id, admission.value) === null || this.#file === null) return;
    this.#tagAges.use(key.tag);
    const storedAt = Math.floor(this.#options.now());
    const { sha256, tag } = key;
    const entry = { key: { sha256, tag }, value: admission.value, storedAt, expiresAt: storedAt + admission.ttlMs };
    this.#front.set(admission.id, entry);
    this.#pending.delete(admission.id);
    this.#pending.set(admission.id, entry);
    if (this.#pending.size > maxPending) this.#forgetOldest();
    this.#scheduleFlush();
  }

  health(): CacheHealth {
    return this.#file === null || this.#breaker.isOpen || this.#failedFlushes > 0 ? "degraded" : "ok";
  }

  /** Writes what is pending. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelFlush?.();
    this.#failedFlushes = 0;
    while (this.#file !== null && this.#pending.size > 0 && this.#failedFlushes === 0) this.#flush(this.#file);
    this.#closeFile();
    this.#front.clear();
    this.#pending.clear();
  }

  /** What memory says, which may be that there is nothing; null where the file has to say it. */
  #held(id: string): { readonly value: Value | null } | null {
    const now = this.#options.now();
    // What is pending replaces the row, so the row does not count any more, even where the pending entry is over.
    const pending = this.#pending.get(id);
    if (pending !== undefined) return { value: isLive(pending, now) ? pending.value : null };
    const front = this.#front.get(id);
    return front !== undefined && isLive(front, now) ? front : null;
  }

  #find(file: VerdictFile, key: VerdictKey): Entry<Value> | null {
    if (!this.#breaker.tryEnter()) return null;
    try {
      const row = file.find(key.sha256, key.tag);
      this.#breaker.succeeded();
      if (row === null) return null;
      const entry = parseRow(key, row, this.#parse);
      if (entry === null)
        this.#options.emit({ kind: "cache-failed", operation: "get", detail: "a row holds nothing that belongs there" });
      return entry !== null && isLive(entry, this.#options.now()) ? entry : null;
    } catch (thrown) {
      this.#breaker.failed();
      this.#fail("get", thrown);
      return null;
    }
  }

  /** The file is asked less and less often while it fails. */
  #scheduleFlush(): void {
    if (this.#cancelFlush !== null || this.#isClosed) return;
    const delayMs = Math.min(flushMs * 2 ** this.#failedFlushes, maxFlushMs);
    this.#cancelFlush = this.#timers.after(delayMs, () => {
      this.#cancelFlush = null;
      if (this.#file !== null) this.#flush(this.#file);
      if (this.#pending.size > 0) this.#scheduleFlush();
    });
  }

  #flush(file: VerdictFile): void {
    const batch = [...this.#pending.entries().take(maxBatch)];
    try {
      file.transact(() => {
        for (const [, { key, value, storedAt, expiresAt }] of batch) {
          const text = storedText(key.sha256 + key.tag, value);
          if (text !== null) file.put({ ...key, verdict: text, storedAt, expiresAt });
        }
        this.#prune(file);
      });
      // A new Map: one that is emptied again and again keeps what was in it, for the reason that `ActiveSet` gives.
      this.#pending = new Map(this.#pending.entries().drop(batch.length));
      this.#failedFlushes = 0;
    } catch (thrown) {
      this.#failedFlushes += 1;
      this.#fail("set", thrown);
    }
  }

  /** More than one batch brings, so that it catches up; bounded, so that nobody waits for it. */
  #prune(file: VerdictFile): void {
    file.deleteExpired(Math.floor(this.#options.now()), maxPruned);
    const excess = file.count - this.#options.maxEntries;
    if (excess > 0) file.deleteSoonest(Math.min(excess, maxPruned));
    const now = this.#options.clock();
    if (now - this.#sweptAtMs < tagSweepMs) return;
    this.#sweptAtMs = now;
    for (const tag of this.#tagAges.idleAmong(file.tags())) file.deleteTag(tag, maxPruned);
  }

  #forgetOldest(): void {
    for (const id of this.#pending.keys().take(1)) this.#pending.delete(id);
  }

  #fail(operation: "get" | "set", thrown: unknown): void {
    const detail = thrown instanceof Error ? thrown.message : String(thrown);
    const isLast = isDamaged(thrown) && this.#isReplaced;
    this.#options.emit({
      kind: "cache-failed",
      operation,
      detail: isLast ? `nothing is remembered any more: ${detail}` : detail,
    });
    if (!isDamaged(thrown)) return;
    this.#closeFile();
    if (!this.#isReplaced && !this.#isClosed) {
      this.#isReplaced = true;
      this.#file = openVerdictFile(this.#options.path, this.#options.emit);
    }
    if (this.#file === null) this.#pending.clear();
  }

  #closeFile(): void {
    try {
      this.#file?.close();
    } catch (thrown) {
      const detail = thrown instanceof Error ? thrown.message : String(thrown);
      this.#options.emit({ kind: "cache-failed", operation: "close", detail });
    }
    this.#file = null;
  }
}

/** An entry from the future is a clock that was set back: how long it would still hold cannot be known. */
function isLive({ storedAt, expiresAt }: Pick<Entry<unknown>, "storedAt" | "expiresAt">, now: number): boolean {
  return storedAt <= now && now < expiresAt;
}

function parseRow<Value>(key: VerdictKey, { verdict, storedAt, expiresAt }: FoundRow, parse: Parse<Value>): Entry<Value> | null {
  const parsed = parseStored(verdict, key.sha256 + key.tag, parse);
  if (parsed === null || typeof storedAt !== "number" || typeof expiresAt !== "number") return null;
  return { key, value: parsed, storedAt, expiresAt };
}

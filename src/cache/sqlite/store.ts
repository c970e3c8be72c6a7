/** Values in an SQLite file: they survive a restart. They are written behind their callers, many in one transaction. */

import { resolve } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Emit } from "../../core/events.ts";
import type { CacheHealth, VerdictKey } from "../../core/verdict-cache.ts";
import { Breaker } from "../breaker.ts";
import { type Cacheable, type Parse, parseStored } from "../cacheable.ts";
import type { LocalStore } from "../memory-front.ts";
import { systemTimers, type Timers } from "../timers.ts";
import { KnownDigests } from "./known-digests.ts";
import { isDamaged, openVerdictFile, type VerdictFile } from "./verdict-file.ts";

export interface SqliteStoreOptions {
  /** Of a file in a directory of the gateway's; both are made where missing. */
  readonly path: string;
  /** At least 1; beyond it those that would expire first go. A row takes some 200 bytes on disk. */
  readonly maxEntries: number;
  readonly emit: Emit;
  readonly clock: Clock;
  /** The wall clock in milliseconds, as Date.now: rows outlive the process, whose own clock starts anew. */
  readonly now: () => number;
  readonly timers?: Timers;
}

interface Entry<Value> {
  readonly value: Value;
  readonly storedAt: number;
  readonly expiresAt: number;
}

interface Pending<Value> extends Entry<Value> {
  readonly key: VerdictKey;
  readonly text: string;
}

/** A crash loses the values that are not written: their bodies are scanned again. */
const flushMs = 25;
/**
 * Where many values come they are gathered for so long, or until there are so many: in the order of the file's keys several
 * go into one page, and each page that changes takes four writes.
 */
const gatherMs = 1000;
const maxGathered = 2000;
/** As many at once, and the next are gathered. */
const minMany = 16;
const maxFlushMs = 30_000;
/** Rows in one transaction: a few milliseconds. */
const maxBatch = 250;
/** Kept for a disk that is slow or full; beyond it the oldest are lost. */
const maxPending = 10_000;
const maxPruned = 2 * maxBatch;

/**
 * Opens the file at once. Where there cannot be one (emitted as `open`), the store works and always misses; where it turns
 * out to be damaged or gone later, it is put aside and replaced, once. Values of one kind need a file of their own.
 */
export class SqliteStore<Value> implements LocalStore<Value> {
  readonly #parse: Parse<Value>;
  readonly #options: SqliteStoreOptions;
  readonly #timers: Timers;
  #pending = new Map<string, Pending<Value>>();
  /** What was pending when the writing began, in the order of its keys. */
  #writing = new Map<string, Pending<Value>>();
  #gatherUntilMs = Number.NEGATIVE_INFINITY;
  readonly #breaker: Breaker;
  #file: VerdictFile | null = null;
  #known: KnownDigests | null = null;
  #isReplaced = false;
  #isClosed = false;
  #cancelFlush: (() => void) | null = null;
  #failedFlushes = 0;

  constructor(parse: Parse<Value>, options: SqliteStoreOptions) {
    this.#parse = parse;
    this.#options = { ...options, path: resolve(options.path) };
    this.#timers = options.timers ?? systemTimers;
    this.#breaker = new Breaker({ clock: options.clock, maxFaults: 3, pauseMs: 5000 });
    this.#openFile();
  }

  get(key: VerdictKey): Entry<Value> | null {
    if (this.#file === null) return null;
    // What is pending replaces the row, so the row does not count any more, even where the pending entry is over.
    const id = key.sha256 + key.tag;
    const entry = this.#pending.get(id) ?? this.#writing.get(id) ?? this.#find(this.#file, key);
    return entry !== null && isLive(entry, this.#options.now()) ? entry : null;
  }

  set(key: VerdictKey, { id, value, text, ttlMs }: Cacheable<Value>): void {
    if (this.#file === null) return;
    const storedAt = Math.floor(this.#options.now());
    this.#pending.delete(id);
    this.#pending.set(id, { key, value, text, storedAt, expiresAt: storedAt + ttlMs });
    if (this.#pending.size + this.#writing.size > maxPending) {
      const older = this.#writing.size > 0 ? this.#writing : this.#pending;
      for (const oldest of older.keys().take(1)) older.delete(oldest);
    }
    this.#scheduleFlush();
  }

  health(): CacheHealth {
    return this.#file === null || this.#breaker.isOpen || this.#failedFlushes > 0 ? "degraded" : "ok";
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelFlush?.();
    this.#failedFlushes = 0;
    while (this.#file !== null && this.#hasUnwritten && this.#failedFlushes === 0) this.#flush(this.#file);
    this.#closeFile();
    this.#forgetUnwritten();
  }

  get #hasUnwritten(): boolean {
    return this.#pending.size + this.#writing.size > 0;
  }

  #forgetUnwritten(): void {
    this.#pending.clear();
    this.#writing.clear();
  }

  #find(file: VerdictFile, key: VerdictKey): Entry<Value> | null {
    if (this.#known?.mayHave(key.sha256) === false || !this.#breaker.tryEnter()) return null;
    try {
      const row = file.find(key.sha256, key.tag);
      this.#breaker.succeeded();
      if (row === null) return null;
      const { storedAt, expiresAt } = row;
      const value = parseStored(row.verdict, key.sha256 + key.tag, this.#parse);
      if (value !== null && typeof storedAt === "number" && typeof expiresAt === "number") return { value, storedAt, expiresAt };
      this.#options.emit({ kind: "cache-failed", operation: "get", detail: "a row holds nothing that belongs there" });
    } catch (thrown) {
      this.#breaker.failed();
      this.#fail("get", thrown);
    }
    return null;
  }

  /** The file is asked less and less often while it fails. */
  #scheduleFlush(): void {
    if (this.#cancelFlush !== null || this.#isClosed) return;
    const delayMs = Math.min(flushMs * 2 ** this.#failedFlushes, maxFlushMs);
    this.#cancelFlush = this.#timers.after(delayMs, () => {
      this.#cancelFlush = null;
      if (this.#file !== null && !this.#isGathering()) this.#flush(this.#file);
      if (this.#hasUnwritten) this.#scheduleFlush();
    });
  }

  #isGathering(): boolean {
    return this.#writing.size === 0 && this.#pending.size < maxGathered && this.#options.clock() < this.#gatherUntilMs;
  }

  #flush(file: VerdictFile): void {
    if (this.#writing.size === 0) this.#beginWriting();
    const batch = [...this.#writing.entries().take(maxBatch)];
    try {
      file.transact(() => {
        for (const [, { key, text, storedAt, expiresAt }] of batch) {
          this.#known?.add(key.sha256);
          file.put({ ...key, verdict: text, storedAt, expiresAt });
        }
        // More than one batch brings, so that it catches up; bounded, so that nobody waits for it.
        file.deleteExpired(Math.floor(this.#options.now()), maxPruned);
        const excess = file.count - this.#options.maxEntries;
        if (excess > 0) file.deleteSoonest(Math.min(excess, maxPruned));
      });
      for (const [id] of batch) this.#writing.delete(id);
      this.#failedFlushes = 0;
    } catch (thrown) {
      this.#failedFlushes += 1;
      this.#fail("set", thrown);
    }
  }

  /** New Maps: one that is emptied again and again keeps what was in it, for the reason that `ActiveSet` gives. */
  #beginWriting(): void {
    if (this.#pending.size > minMany) this.#gatherUntilMs = this.#options.clock() + gatherMs;
    this.#writing = new Map([...this.#pending].sort(([one], [other]) => (one < other ? -1 : 1)));
    this.#pending = new Map();
  }

  #fail(operation: "get" | "set", thrown: unknown): void {
    const detail = messageOf(thrown);
    const isLast = isDamaged(thrown) && this.#isReplaced;
    this.#options.emit({
      kind: "cache-failed",
      operation,
      detail: isLast ? `no verdict is written any more: ${detail}` : detail,
    });
    if (!isDamaged(thrown)) return;
    this.#closeFile();
    if (!this.#isReplaced && !this.#isClosed) {
      this.#isReplaced = true;
      this.#openFile();
    }
    if (this.#file === null) this.#forgetUnwritten();
  }

  #openFile(): void {
    const { path, emit, clock } = this.#options;
    this.#file = openVerdictFile(path, emit);
    this.#known = this.#file && new KnownDigests({ file: this.#file, clock, timers: this.#timers });
  }

  #closeFile(): void {
    this.#known?.close();
    this.#known = null;
    try {
      this.#file?.close();
    } catch (thrown) {
      const detail = messageOf(thrown);
      this.#options.emit({ kind: "cache-failed", operation: "close", detail });
    }
    this.#file = null;
  }
}

/** An entry from the future is a clock that was set back: how long it would still hold cannot be known. */
function isLive({ storedAt, expiresAt }: Entry<unknown>, now: number): boolean {
  return storedAt <= now && now < expiresAt;
}

/** What clients have used of their quotas, of one gateway: in memory, and written behind into an SQLite file, from which it is read after a restart. */

import { closeSync, existsSync, openSync, renameSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../core/errors.ts";
import type { Emit } from "../../core/events.ts";
import type { QuotaStore, QuotaUse } from "../../core/quota-store.ts";
import { systemTimers, type Timers } from "../timers.ts";
import { isDamaged } from "./verdict-file.ts";

export interface SqliteQuotasOptions {
  /** In a directory that is there. */
  readonly path: string;
  readonly emit: Emit;
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
  readonly timers?: Timers;
}

interface Sum {
  readonly use: QuotaUse;
  used: number;
  isWritten: boolean;
}

/** A crash loses at most what was used in this time. */
const writeMs = 1_000;
const maxWriteMs = 60_000;

const schema = `
  CREATE TABLE IF NOT EXISTS quotas (
    client TEXT NOT NULL, window_ms INTEGER NOT NULL, starts_at INTEGER NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (client, window_ms, starts_at)
  ) STRICT, WITHOUT ROWID`;

/** Where the file cannot be had (emitted as `open`), a restart forgets. */
export function sqliteQuotas({ path, emit, now, timers = systemTimers }: SqliteQuotasOptions): QuotaStore {
  const file = openFile(path, emit);
  const sums = new Map<string, Sum>((file === null ? [] : read(file)).map((sum) => [keyOf(sum.use), sum]));
  let cancelWrite: (() => void) | null = null;
  let failures = 0;

  function scheduleWrite(): void {
    if (file === null || cancelWrite !== null) return;
    cancelWrite = timers.after(Math.min(writeMs * 2 ** failures, maxWriteMs), () => {
      cancelWrite = null;
      write(file);
      if (failures > 0) scheduleWrite();
    });
  }

  function write(to: DatabaseSync): void {
    // What ended a window ago is corrected no more.
    const isOver = ({ use }: Sum) => now() >= use.startsAt + 2 * use.windowMs;
    for (const [key, sum] of sums) if (isOver(sum)) sums.delete(key);
    const unwritten = [...sums.values()].filter((sum) => !sum.isWritten);
    try {
      to.exec("BEGIN IMMEDIATE");
      const put = to.prepare("INSERT OR REPLACE INTO quotas (client, window_ms, starts_at, used) VALUES (?, ?, ?, ?)");
      for (const { use, used } of unwritten) put.run(use.client, use.windowMs, use.startsAt, used);
      to.prepare("DELETE FROM quotas WHERE starts_at + 2 * window_ms <= ?").run(now());
      to.exec("COMMIT");
      for (const sum of unwritten) sum.isWritten = true;
      failures = 0;
    } catch (error) {
      if (to.isTransaction) to.exec("ROLLBACK");
      failures += 1;
      emit({ kind: "cache-failed", operation: "set", detail: `quotas: ${messageOf(error)}` });
    }
  }

  return {
    async charge(use, bytes, max) {
      const key = keyOf(use);
      const sum = sums.get(key) ?? { use, used: 0, isWritten: true };
      if (sum.used > 0 && sum.used + bytes > max) return { isCharged: false, used: sum.used };
      sum.used = Math.max(0, sum.used + bytes);
      sum.isWritten = false;
      sums.set(key, sum);
      scheduleWrite();
      return { isCharged: true, used: sum.used };
    },
    async close() {
      cancelWrite?.();
      if (file === null) return;
      write(file);
      file.close();
    },
  };
}

function keyOf({ client, windowMs, startsAt }: QuotaUse): string {
  return `${windowMs}:${startsAt}:${client}`;
}

/** Null, and emitted, where there is no way to have one. A damaged one is put aside. */
function openFile(path: string, emit: Emit): DatabaseSync | null {
  try {
    try {
      return openAt(path);
    } catch (error) {
      if (!isDamaged(error)) throw error;
      const aside = `${path}.broken`;
      // SQLite would apply the journal of the one to the other.
      for (const suffix of ["", "-journal"]) if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
      emit({ kind: "cache-failed", operation: "open", detail: `quotas: ${messageOf(error)}; renamed to ${aside}` });
      return openAt(path);
    }
  } catch (error) {
    emit({ kind: "cache-failed", operation: "open", detail: `quotas are forgotten at a restart: ${messageOf(error)}` });
    return null;
  }
}

function openAt(path: string): DatabaseSync {
  // SQLite would make it readable for everybody.
  closeSync(openSync(path, "a", 0o600));
  const file = new DatabaseSync(path);
  try {
    file.exec(`PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF; ${schema}`);
    read(file);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function read(file: DatabaseSync): readonly Sum[] {
  const rows = file.prepare("SELECT client, window_ms AS windowMs, starts_at AS startsAt, used FROM quotas").all();
  return rows.map(({ client, windowMs, startsAt, used }) => ({
    use: { client: String(client), windowMs: Number(windowMs), startsAt: Number(startsAt) },
    used: Number(used),
    isWritten: true,
  }));
}

/** One SQLite file of verdicts: rows in and out, in one schema of ours. What cannot be used at its path is put aside, never deleted. */

import { closeSync, existsSync, mkdirSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { messageOf } from "../../core/errors.ts";
import type { Emit } from "../../core/events.ts";

export interface VerdictRow {
  readonly sha256: string;
  readonly tag: string;
  /** `storedText`. */
  readonly verdict: string;
  /** Milliseconds of the wall clock, as all times here. */
  readonly storedAt: number;
  readonly expiresAt: number;
}

/** A row as it is found: anything may stand in it. */
export type FoundRow = Readonly<Record<"verdict" | "storedAt" | "expiresAt", unknown>>;

/** In the order of the file. */
export type RowKey = readonly [tag: Uint8Array, sha256: Uint8Array];

/** The file is a database, but not one of this schema: another program's, or a newer version's. */
class ForeignFileError extends Error {
  override readonly name = "ForeignFileError";
}

/** "CLMG", in the header field that SQLite has for telling whose file it is. */
const applicationId = 0x434c4d47;
const schemaVersion = 2;
/** At the start another process may be closing the same file; later a wait would stop the whole gateway. */
const openBusyMs = 500;
const busyMs = 10;

/** `IF NOT EXISTS`: two gateways may find the same empty file at the same time. */
const schema = `
  CREATE TABLE IF NOT EXISTS verdicts (
    tag BLOB NOT NULL, sha256 BLOB NOT NULL, verdict TEXT NOT NULL, stored_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tag, sha256)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS verdicts_by_expiry ON verdicts (expires_at);
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};`;

/** Of SQLite's result codes (sqlite.org/rescode.html) those that say the bytes are wrong, not their surroundings. */
const sqliteError = 1;
const sqliteCorrupt = 11;
const sqliteNotADatabase = 26;
/** An extended one: something else, or nothing, is at the path of a file that is open. */
const sqliteMoved = 1032;

/** sqlite.org/fileformat.html §1.3 */
const sqliteHeaderBytes = 100;
/** In the header, where each transaction that writes adds 1: sqlite.org/fileformat.html §1.3.7 */
const changeCounterAt = 24;

/** Faulty or foreign files kept beside the path, at most. */
const maxAside = 10;

/** Synchronous; throws SQLite's errors as they are. */
export class VerdictFile {
  readonly #database: DatabaseSync;
  /** Beside SQLite's own. To close it drops the locks that SQLite has: none are held but within a transaction. */
  readonly #header: number;
  readonly #counter = Buffer.alloc(4);
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #read: StatementSync;
  readonly #keys: StatementSync;
  readonly #keysAfter: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #deleteExpired: StatementSync;
  readonly #deleteSoonest: StatementSync;
  #count: number;
  #changes: number;
  #isChangedByOthers = false;

  /** @param path of a file that exists, if only an empty one. Throws ForeignFileError, or SQLite's error. */
  constructor(path: string) {
    const database = new DatabaseSync(path, { timeout: openBusyMs });
    try {
      claim(database);
      // No WAL: its index is memory mapped, and who truncates that file ends every process that has it open (SIGBUS). Nothing is
      // synced: a crash of the machine may cost the file, which is then put aside; a crash of the process costs nothing.
      database.exec("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF; PRAGMA mmap_size = 0");
      this.#begin = database.prepare("BEGIN IMMEDIATE");
      this.#commit = database.prepare("COMMIT");
      this.#read = database.prepare(
        "SELECT verdict, stored_at AS storedAt, expires_at AS expiresAt FROM verdicts WHERE tag = ? AND sha256 = ?",
      );
      const keys = "SELECT tag, sha256 FROM verdicts";
      this.#keys = database.prepare(`${keys} ORDER BY tag, sha256 LIMIT ?`);
      this.#keysAfter = database.prepare(`${keys} WHERE (tag, sha256) > (?, ?) ORDER BY tag, sha256 LIMIT ?`);
      this.#insert = database.prepare(
        "INSERT OR IGNORE INTO verdicts (tag, sha256, verdict, stored_at, expires_at) VALUES (?, ?, ?, ?, ?)",
      );
      this.#update = database.prepare(
        "UPDATE verdicts SET verdict = ?3, stored_at = ?4, expires_at = ?5 WHERE tag = ?1 AND sha256 = ?2",
      );
      this.#deleteExpired = database.prepare(
        "DELETE FROM verdicts WHERE (tag, sha256) IN (SELECT tag, sha256 FROM verdicts WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
      );
      this.#deleteSoonest = database.prepare(
        "DELETE FROM verdicts WHERE (tag, sha256) IN (SELECT tag, sha256 FROM verdicts ORDER BY expires_at LIMIT ?)",
      );
      this.#count = Number(database.prepare("SELECT count(*) AS count FROM verdicts").get()?.count);
      database.exec(`PRAGMA busy_timeout = ${busyMs}`);
      this.#header = openSync(path, "r");
    } catch (thrown) {
      database.close();
      throw thrown;
    }
    this.#database = database;
    this.#changes = this.#readChanges();
  }

  /** Rows there are, as far as this process has seen: another one may write as well. */
  get count(): number {
    return this.#count;
  }

  find(sha256: string, tag: string): FoundRow | null {
    const row = this.#read.get(Buffer.from(tag), Buffer.from(sha256, "hex"));
    return row === undefined ? null : { verdict: row.verdict, storedAt: row.storedAt, expiresAt: row.expiresAt };
  }

  /** The first keys, or those behind one. */
  keysAfter(after: RowKey | null, limit: number): readonly RowKey[] {
    const rows = after === null ? this.#keys.all(limit) : this.#keysAfter.all(...after, limit);
    return rows.map(({ tag, sha256 }) => [bytesOf(tag), bytesOf(sha256)]);
  }

  /** Whether another connection, or somebody else, has written since this was last asked. One system call. */
  isChangedByOthers(): boolean {
    const changes = this.#readChanges();
    const isChanged = this.#isChangedByOthers || changes !== this.#changes;
    this.#changes = changes;
    this.#isChangedByOthers = false;
    return isChanged;
  }

  /** Runs `change` in one transaction; where it throws, nothing of it stays. */
  transact(change: () => void): void {
    const before = this.#count;
    this.#begin.run();
    try {
      const changes = this.#readChanges();
      change();
      this.#commit.run();
      const changesByAll = this.#readChanges();
      // One is this transaction's; it is none where nothing had to be written.
      if (changes !== this.#changes || changesByAll - changes > 1) this.#isChangedByOthers = true;
      this.#changes = changesByAll;
    } catch (thrown) {
      this.#count = before;
      // A full disk, for one, has made SQLite roll back by itself.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw thrown;
    }
  }

  put({ sha256, tag, verdict, storedAt, expiresAt }: VerdictRow): void {
    const values = [Buffer.from(tag), Buffer.from(sha256, "hex"), verdict, storedAt, expiresAt] as const;
    const { changes } = this.#insert.run(...values);
    this.#count += Number(changes);
    if (Number(changes) === 0) this.#update.run(...values);
  }

  deleteExpired(now: number, limit: number): void {
    this.#count -= Number(this.#deleteExpired.run(now, limit).changes);
  }

  /** Those that would expire first. */
  deleteSoonest(limit: number): void {
    this.#count -= Number(this.#deleteSoonest.run(limit).changes);
  }

  close(): void {
    closeSync(this.#header);
    this.#database.close();
  }

  /** -1 where the file is cut, or cannot be read. */
  #readChanges(): number {
    try {
      return readSync(this.#header, this.#counter, 0, 4, changeCounterAt) === 4 ? this.#counter.readUInt32BE() : -1;
    } catch {
      // A disk that fails tells it to whoever asks for a row.
      return -1;
    }
  }
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Error("a key is no bytes");
}

/** Before anything is written: a file that is not ours stays as it was. */
function claim(database: DatabaseSync): void {
  const id = Number(database.prepare("PRAGMA application_id").get()?.application_id);
  const version = Number(database.prepare("PRAGMA user_version").get()?.user_version);
  if (id === applicationId && version === schemaVersion) return;
  const tables = Number(database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()?.count);
  if (id !== 0 || version !== 0 || tables !== 0) {
    throw new ForeignFileError(`a database of application ${id}, version ${version}, with ${tables} tables and indexes`);
  }
  database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
}

/**
 * Null, and emitted, where there is no way to have a file there. A corrupt file, another program's and a newer version's
 * are renamed to `<path>.broken` (or `.broken.1` to `.broken.9` where that is taken), and a new one is made.
 */
export function openVerdictFile(path: string, emit: Emit): VerdictFile | null {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    try {
      return openAt(path);
    } catch (thrown) {
      if (!(thrown instanceof ForeignFileError) && !isDamaged(thrown) && sqliteCode(thrown) !== sqliteError) throw thrown;
      const aside = putAside(path);
      emit({ kind: "cache-failed", operation: "open", detail: `${messageOf(thrown)}; renamed to ${aside}` });
      return openAt(path);
    }
  } catch (thrown) {
    emit({ kind: "cache-failed", operation: "open", detail: `no verdict is written: ${messageOf(thrown)}` });
    return null;
  }
}

/** Whether an SQLite error means that the file itself is damaged, or was taken away. */
export function isDamaged(thrown: unknown): boolean {
  const code = sqliteCode(thrown);
  return code === sqliteCorrupt || code === sqliteNotADatabase || extendedCode(thrown) === sqliteMoved;
}

function openAt(path: string): VerdictFile {
  // Made here, because SQLite would make it readable for everybody; and looked at, because opening a FIFO never ends.
  if (!existsSync(path)) closeSync(openSync(path, "a", 0o600));
  const status = statSync(path);
  if (!status.isFile()) throw new Error(`${path} is no file`);
  // SQLite takes a text of a few bytes for an empty database, and would write over it.
  if (status.size > 0 && status.size < sqliteHeaderBytes) throw new ForeignFileError("a file too short for a database");
  return new VerdictFile(path);
}

/** With its journals: SQLite would apply one that it finds beside a new file of the same name. */
function putAside(path: string): string {
  const asides = Array.from({ length: maxAside }, (_, index) => (index === 0 ? `${path}.broken` : `${path}.broken.${index}`));
  const aside = asides.find((candidate) => !existsSync(candidate));
  if (aside === undefined) throw new Error(`${maxAside} broken files are kept beside ${path} already`);
  for (const suffix of ["", "-wal", "-shm", "-journal"]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  return aside;
}

/** The upper bytes of an extended code only say more of the same. */
function sqliteCode(thrown: unknown): number | null {
  const code = extendedCode(thrown);
  return code === null ? null : code & 0xff;
}

function extendedCode(thrown: unknown): number | null {
  return thrown instanceof Error && "errcode" in thrown && typeof thrown.errcode === "number" ? thrown.errcode : null;
}

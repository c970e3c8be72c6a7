/** Opens the verdict file at a path, whatever is there: what cannot be used is put aside, never deleted. */

import { closeSync, existsSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Emit } from "../../core/events.ts";
import { ForeignFileError, VerdictFile } from "./verdict-file.ts";

/** Of SQLite's result codes (sqlite.org/rescode.html) those that say the bytes are wrong, not their surroundings. */
const sqliteError = 1;
const sqliteCorrupt = 11;
const sqliteNotADatabase = 26;
/** An extended one: something else, or nothing, is at the path of a file that is open. */
const sqliteMoved = 1032;

/** sqlite.org/fileformat.html §1.3 */
const sqliteHeaderBytes = 100;

/** Faulty or foreign files kept beside the path, at most. */
const maxAside = 10;

/**
 * Null, and emitted, where there is no way to have a file there. A corrupt file, another program's and a newer version's
 * are renamed to `<path>.broken` (or `.broken.1` to `.broken.9` where that is taken), `onPutAside` is called, and a new one is made.
 */
export function openVerdictFile(path: string, emit: Emit, onPutAside = () => {}): VerdictFile | null {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    try {
      return openAt(path);
    } catch (thrown) {
      if (!(thrown instanceof ForeignFileError) && !isDamaged(thrown) && sqliteCode(thrown) !== sqliteError) throw thrown;
      const aside = putAside(path);
      onPutAside();
      emit({ kind: "cache-failed", operation: "open", detail: `${textOf(thrown)}; renamed to ${aside}` });
      return openAt(path);
    }
  } catch (thrown) {
    emit({ kind: "cache-failed", operation: "open", detail: `nothing is remembered: ${textOf(thrown)}` });
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

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Opens files below the directories that the operator has named, and nothing else (rest.md: SCAN_PATH_ROOTS). */

import type { BigIntStats } from "node:fs";
import { constants, type FileHandle, lstat, open, readlink, realpath } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { ClamgateError } from "../../core/errors.ts";

/** Paths are bytes: a file's name need not be UTF-8. */
export type Opened =
  | { readonly kind: "file"; readonly file: OpenedFile }
  /** @param path has no links in it. */
  | { readonly kind: "directory"; readonly path: Buffer }
  /** A FIFO, a socket or a device. */
  | { readonly kind: "other" };

export interface OpenedFile extends AsyncDisposable {
  /** Bytes, when it was opened. */
  readonly size: number;
  /**
   * To be called once; a chunk is valid until the next is asked for. Rejects with `not-found` when the file cannot be read to its end,
   * and at its end with `source-changed` where it was written meanwhile. What is written
   * through a mapping may leave no trace, nor what a single write(2) goes on writing that takes far longer than others.
   */
  read(): AsyncIterable<Uint8Array>;
}

export interface ScanRoots {
  /**
   * Links are followed while they stay below a root. Never waits for a FIFO and never opens a device.
   * Rejects with `forbidden` outside the roots, with `malformed` for what is no absolute path, and with `not-found` for what is
   * not there or not readable.
   */
  open(path: Buffer): Promise<Opened>;
}

/** The flags say no to what lstat did not see: a link or a FIFO that took the file's place since. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

const chunkBytes = 65_536;

/**
 * Changes of a file within one tick of the kernel's clock, 10 ms at most, leave the same times. And one call of write(2) sets them when
 * it begins: it may go on for as long as this, on a machine that is busy.
 */
const tickMs = 50;
const writeMsPerMebibyte = 2;
/** How often a file that is being written is given the time to come to rest. */
const maxRests = 3;

/** @param roots absolute paths; none closes everything. */
export function createScanRoots(roots: readonly string[]): ScanRoots {
  const writtenRoots = roots.map((root) => withoutDots(Buffer.from(root).toString("latin1")));
  return {
    async open(path) {
      if (roots.length === 0) {
        throw new ClamgateError("forbidden", "Scanning by path is switched off; set SCAN_PATH_ROOTS to the directories to open");
      }
      const text = path.toString("latin1");
      if (text.includes("\0")) throw new ClamgateError("malformed", "The path contains a control character");
      if (!text.startsWith("/")) throw new ClamgateError("malformed", "The path must be absolute");
      const realRoots = await realPaths(writtenRoots);
      // Asked of the text first, so that nobody learns what exists elsewhere; asked of the real path below, where links end.
      if (!isBelow(withoutDots(text), [...writtenRoots, ...realRoots])) throw outside();
      const real = await realpath(path, { encoding: "buffer" }).catch(missing);
      if (!isBelow(real.toString("latin1"), realRoots)) throw outside();
      const stats = await lstat(real).catch(missing);
      if (stats.isDirectory()) return { kind: "directory", path: real };
      if (!stats.isFile()) return { kind: "other" };
      return { kind: "file", file: await openFile(real, realRoots) };
    },
  };
}

async function openFile(path: Buffer, realRoots: readonly string[]): Promise<OpenedFile> {
  const handle = await open(path, flags).catch(missing);
  try {
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) throw new ClamgateError("not-found", "The path leads to a file no more");
    const opened = await pathOf(handle, path, stats);
    if (opened === null || !isBelow(opened.toString("latin1"), realRoots)) throw outside();
    const atRest = await statAtRest(handle, stats);
    return { size: Number(atRest.size), read: () => readUnchanged(handle, atRest), [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Where the opened file really is: a directory on the way may have become a link since its path was looked at. */
async function pathOf(handle: FileHandle, path: Buffer, { dev, ino }: BigIntStats): Promise<Buffer | null> {
  try {
    return await readlink(`/proc/self/fd/${handle.fd}`, { encoding: "buffer" });
  } catch {
    // Not Linux: what the path leads to now must be what was opened.
    const real = await realpath(path, { encoding: "buffer" }).catch(missing);
    const now = await lstat(real, { bigint: true }).catch(missing);
    return now.dev === dev && now.ino === ino ? real : null;
  }
}

/**
 * The state of a file from which on every change will show: it has been the same for longer than changes may go unseen, by our clock, or
 * while we looked on where the file's clock is ahead. Rejects with `source-changed` when it does not come to rest.
 */
async function statAtRest(handle: FileHandle, first: BigIntStats): Promise<BigIntStats> {
  let stats = first;
  for (let rest = 0; rest < maxRests; rest += 1) {
    const restMs = tickMs + Number(stats.size >> 20n) * writeMsPerMebibyte;
    if (Date.now() - Number(stats.ctimeMs) > restMs) return stats;
    await delay(restMs);
    const now = await handle.stat({ bigint: true });
    if (isUnchanged(stats, now)) return now;
    stats = now;
  }
  throw changed();
}

async function* readUnchanged(handle: FileHandle, before: BigIntStats): AsyncGenerator<Uint8Array> {
  yield* read(handle);
  if (!isUnchanged(before, await handle.stat({ bigint: true }))) throw changed();
}

function isUnchanged(one: BigIntStats, other: BigIntStats): boolean {
  return one.size === other.size && one.mtimeNs === other.mtimeNs && one.ctimeNs === other.ctimeNs;
}

/** Not a stream of Node's: closing the handle would wait for one that its reader has left. */
async function* read(handle: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  try {
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw new ClamgateError("not-found", "The file cannot be read", { cause: error });
  }
}

/** A root that is not there (not mounted yet) opens nothing. */
async function realPaths(roots: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    roots.map((root) => realpath(Buffer.from(root, "latin1"), { encoding: "buffer" }).catch(() => null)),
  );
  return found.filter((root) => root !== null).map((root) => root.toString("latin1"));
}

function isBelow(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => {
    const prefix = root.endsWith("/") ? root : `${root}/`;
    return path === root || `${path}/` === prefix || path.startsWith(prefix);
  });
}

function withoutDots(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  return `/${kept.join("/")}`;
}

function outside(): ClamgateError {
  return new ClamgateError("forbidden", "The path is not below a directory of SCAN_PATH_ROOTS");
}

function changed(): ClamgateError {
  return new ClamgateError("source-changed", "The file changed while it was read");
}

function missing(error: unknown): never {
  throw new ClamgateError("not-found", "The path leads to nothing that can be read", { cause: error });
}

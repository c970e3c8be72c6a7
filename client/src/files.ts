/** Files and directories of this machine as bodies. Node, Bun and Deno alone have them. */

import type { BigIntStats, Dirent } from "node:fs";
import { constants, type FileHandle, open, opendir } from "node:fs/promises";
import { ScanError } from "./errors.ts";
import { isExcluded } from "./globs.ts";
import { type Source, sourceOf } from "./source.ts";

/** A path as the system has it: names may be bytes that are no UTF-8. */
export type FilePath = string | Buffer;

const pieceBytes = 256 * 1024;

/**
 * One that fits into a piece is read at once; a larger one is opened when it is read, and each time anew. Special files and
 * directories are no input. Throws a ScanError `not-found` or `input`, `input` too where the file changes while it is read.
 */
export async function fileSource(path: FilePath): Promise<Source> {
  const file = await openFile(path);
  try {
    const before = await regular(file, path);
    const size = Number(before.size);
    if (size > pieceBytes) return { size, isRepeatable: true, bytes: null, read: () => readWhole(path) };
    // One byte more: some file systems tell of no size, or of a wrong one.
    const { bytesRead, buffer } = await file.read(new Uint8Array(size + 1), 0, size + 1, 0);
    await assertSame(file, before, bytesRead);
    return sourceOf(buffer.subarray(0, size));
  } catch (error) {
    throw fileError(error);
  } finally {
    await file.close();
  }
}

async function* readWhole(path: FilePath): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await openFile(path);
  try {
    const before = await regular(file, path);
    let at = 0;
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes, at);
      if (bytesRead === 0) break;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    await assertSame(file, before, at);
  } catch (error) {
    throw fileError(error);
  } finally {
    await file.close();
  }
}

async function assertSame(file: FileHandle, before: BigIntStats, bytesRead: number): Promise<void> {
  const after = await file.stat({ bigint: true });
  const isSame = after.size === before.size && after.mtimeNs === before.mtimeNs && after.ctimeNs === before.ctimeNs;
  if (!isSame || BigInt(bytesRead) !== before.size) throw new ScanError("input", "the file has changed while it was read");
}

/** A FIFO without a writer would hold the opening up for ever: it is opened without waiting. */
async function openFile(path: FilePath) {
  try {
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw fileError(error);
  }
}

async function regular(file: FileHandle, path: FilePath): Promise<BigIntStats> {
  const stats = await file.stat({ bigint: true });
  if (!stats.isFile()) throw new ScanError("input", `${stats.isDirectory() ? "a directory" : "not a regular file"}: ${path}`);
  return stats;
}

function fileError(error: unknown): ScanError {
  if (error instanceof ScanError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new ScanError(code === "ENOENT" || code === "ENOTDIR" ? "not-found" : "input", message, { cause: error });
}

/** A file of a directory, or what could not be read of it. */
export type Found = { readonly path: FilePath; readonly error: ScanError | null };

export interface WalkOptions {
  /** Globs: without a slash they fit a name at any depth, with one the path from the root on, as in .gitignore. */
  readonly exclude?: readonly string[];
}

/** All regular files below `root`, directory by directory. Links are not followed and special files are passed over. */
export async function* walk(root: FilePath, { exclude = [] }: WalkOptions = {}): AsyncGenerator<Found, void, undefined> {
  const waiting: { readonly path: Buffer; readonly relative: string }[] = [{ path: Buffer.from(root), relative: "" }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { path: directory, relative } = next;
    try {
      const entries = await opendir(directory, { encoding: "buffer" as BufferEncoding });
      for await (const entry of entries as AsyncIterable<Dirent<Buffer>>) {
        const path = Buffer.concat([directory, directory.at(-1) === slash ? Buffer.alloc(0) : Buffer.from([slash]), entry.name]);
        const inside = relative === "" ? entry.name.toString() : `${relative}/${entry.name}`;
        if (isExcluded(inside, exclude)) continue;
        if (entry.isDirectory()) waiting.push({ path, relative: inside });
        else if (entry.isFile()) yield { path, error: null };
      }
    } catch (error) {
      yield { path: directory, error: fileError(error) };
    }
  }
}

const slash = 0x2f;

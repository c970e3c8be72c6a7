/** Keeps the bytes of a stream until they have been scanned: in memory up to 1 MiB, else in a file that nobody else can read. */

import { randomUUID } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ScanError } from "./errors.ts";
import type { Source } from "./source.ts";

export interface HeldBody extends Source {
  readonly size: number;
  /** Gives the bytes back, from memory and from the disk. */
  dispose(): Promise<void>;
}

const memoryBytes = 1024 * 1024;
const pieceBytes = 64 * 1024;

/** Rejects with what `chunks` throws, a ScanError `input` where the disk fails, or the signal's reason; nothing is kept then. */
export async function hold(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<HeldBody> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  let file: FileHandle | null = null;
  try {
    for await (const chunk of chunks) {
      signal.throwIfAborted();
      size += chunk.length;
      if (file === null && size > memoryBytes) {
        file = await privateFile();
        for (const piece of pieces) await file.appendFile(piece);
        pieces.length = 0;
      }
      // A producer may use its chunk's memory again.
      if (file === null) pieces.push(Uint8Array.from(chunk));
      else await file.appendFile(chunk);
    }
  } catch (error) {
    await file?.close();
    if (error instanceof ScanError || signal.aborted) throw error;
    throw new ScanError("input", `the body cannot be held: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const held = file;
  return {
    size,
    isRepeatable: true,
    bytes: null,
    read: () => (held === null ? fromMemory(pieces) : fromFile(held, size)),
    dispose: async () => {
      pieces.length = 0;
      await held?.close();
    },
  };
}

async function* fromMemory(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function* fromFile(file: FileHandle, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; ) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes, at);
    if (bytesRead === 0) throw new ScanError("input", "the held body has become shorter");
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Its name is gone before a byte is written, where the system allows it: the file ends with the process. */
async function privateFile(): Promise<FileHandle> {
  const path = join(tmpdir(), `clamgate-${randomUUID()}`);
  const file = await open(path, "wx+", 0o600);
  await unlink(path);
  return file;
}

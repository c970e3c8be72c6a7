/** One private file of the spool: written once, hashed as it is written, read from many places, removed. */

import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { ClamgateError, messageOf, systemCodeOf } from "../core/errors.ts";
import type { Budget } from "./budget.ts";
import { GrowingBuffer } from "./growing-buffer.ts";

/** The part of node:fs/promises that the spool's files need; a test gives one whose disk is full. */
export interface FileSystem {
  open(path: string, flags: string, mode: number): Promise<FileHandle>;
  unlink(path: string): Promise<void>;
}

export interface SpoolFileOptions {
  readonly path: string;
  readonly fileSystem: FileSystem;
  /** Counts the bytes in files. */
  readonly quota: Budget;
  /** Counts the memory that collects small chunks into one write. */
  readonly staging: Budget;
}

/** Each write is a trip to the thread pool and back, which costs more than the bytes of a small one. */
const largeWriteBytes = 256 * 1024;
/** Once all uploads together collect as much, each collects less: there may be thousands. */
const generousBytes = 2 * 1024 * 1024;
const smallWriteBytes = 64 * 1024;

/** Rejects with `spool-full` or `internal`. Never opens a file that is already there. */
export async function createSpoolFile(options: SpoolFileOptions): Promise<SpoolFile> {
  try {
    return new SpoolFile(options, await options.fileSystem.open(options.path, "wx+", 0o600));
  } catch (thrown) {
    throw spoolError(thrown);
  }
}

/** Open from its first byte to its removal: its readers share the descriptor and can therefore leak none. */
export class SpoolFile {
  readonly path: string;
  readonly #fileSystem: FileSystem;
  readonly #handle: FileHandle;
  readonly #quota: Budget;
  readonly #staging: GrowingBuffer;
  readonly #allStaging: Budget;
  readonly #hash = createHash("sha256");
  #size = 0;
  #removal: Promise<void> | null = null;

  constructor({ path, fileSystem, quota, staging }: SpoolFileOptions, handle: FileHandle) {
    this.path = path;
    this.#fileSystem = fileSystem;
    this.#handle = handle;
    this.#quota = quota;
    this.#staging = new GrowingBuffer({ budget: staging, maxBytes: largeWriteBytes });
    this.#allStaging = staging;
  }

  /** Copies the chunk and writes what makes a full piece. Rejects with `spool-full` or `internal`. */
  async append(chunk: Uint8Array): Promise<void> {
    for (let offset = 0; offset < chunk.length; ) {
      const piece = chunk.subarray(offset, offset + this.#room());
      if (!this.#staging.tryAppend(piece)) throw spoolError(new Error("the staging has no room for what it was cut for"));
      offset += piece.length;
      if (this.#room() <= 0) await this.#flush();
    }
  }

  #room(): number {
    const writeBytes = this.#allStaging.used < generousBytes ? largeWriteBytes : smallWriteBytes;
    // Others may have taken so much meanwhile that this one should have written before.
    return Math.max(0, writeBytes - this.#staging.length);
  }

  /** Writes bytes that nobody changes meanwhile, before any was appended. Rejects with `spool-full` or `internal`. */
  async write(bytes: Uint8Array): Promise<void> {
    if (!this.#quota.tryReserve(bytes.length)) {
      throw new ClamgateError("spool-full", "No room to hold the body", { detail: "the spool's file quota is used up" });
    }
    const start = this.#size;
    this.#size += bytes.length;
    try {
      const writing = writeAll(this.#handle, bytes, start);
      this.#hash.update(bytes);
      await writing;
    } catch (thrown) {
      throw spoolError(thrown);
    }
  }

  /** Writes the rest; nothing is appended afterwards. */
  async finish(): Promise<{ readonly size: number; readonly sha256: string }> {
    await this.#flush();
    this.#staging.release();
    return { size: this.#size, sha256: this.#hash.digest("hex") };
  }

  /** Up to `length` bytes in memory of their own. Rejects with `internal` where the file ends before them. */
  async read(position: number, length: number): Promise<Uint8Array> {
    try {
      const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafeSlow(length), 0, length, position);
      if (bytesRead === 0) throw new Error("a spool file is shorter than its body");
      return buffer.subarray(0, bytesRead);
    } catch (thrown) {
      throw spoolError(thrown);
    }
  }

  /** Closes and unlinks the file, once. Rejects with the system's error; what is still on disk stays counted then. */
  remove(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  async #remove(): Promise<void> {
    this.#staging.release();
    try {
      await this.#fileSystem.unlink(this.path);
    } catch (thrown) {
      if (systemCodeOf(thrown) !== "ENOENT") throw thrown;
    } finally {
      await this.#handle.close();
    }
    this.#quota.release(this.#size);
  }

  async #flush(): Promise<void> {
    await this.write(this.#staging.view);
    this.#staging.clear();
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, start: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, start + written);
    if (bytesWritten === 0) throw new Error("the disk took no bytes and gave no reason");
    written += bytesWritten;
  }
}

function spoolError(thrown: unknown): ClamgateError {
  const detail = messageOf(thrown);
  const code = systemCodeOf(thrown);
  if (code === "ENOSPC" || code === "EDQUOT")
    return new ClamgateError("spool-full", "No room to hold the body", { detail, cause: thrown });
  return new ClamgateError("internal", "Internal error", { detail, cause: thrown });
}

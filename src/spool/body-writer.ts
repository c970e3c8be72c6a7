/** A body on its way in: in memory while it is small and there is room, from then on in a file. */

import { hash } from "node:crypto";
import type { BodyContent } from "./body-handle.ts";
import type { Budget } from "./budget.ts";
import { GrowingBuffer } from "./growing-buffer.ts";
import type { SpoolFile } from "./spool-file.ts";

export interface BodyWriterOptions {
  readonly memory: Budget;
  readonly memoryBytesPerBody: number;
  readonly expectedBytes: number;
  readonly createFile: () => Promise<SpoolFile>;
}

/** The digest is made of our own copy of the bytes, never of a chunk that its producer may still write to. */
export class BodyWriter {
  readonly #createFile: () => Promise<SpoolFile>;
  readonly #buffer: GrowingBuffer;
  #file: SpoolFile | null = null;

  constructor({ memory, memoryBytesPerBody, expectedBytes, createFile }: BodyWriterOptions) {
    const belongsInFile = expectedBytes > memoryBytesPerBody;
    this.#buffer = new GrowingBuffer({ budget: memory, maxBytes: belongsInFile ? 0 : memoryBytesPerBody, expectedBytes });
    this.#createFile = createFile;
  }

  /** Resolves when the chunk's memory is the producer's again. Rejects with `spool-full` or `internal`. */
  async append(chunk: Uint8Array): Promise<void> {
    if (this.#file === null && this.#buffer.tryAppend(chunk)) return;
    this.#file ??= await this.#spill();
    await this.#file.append(chunk);
  }

  async finish(): Promise<BodyContent> {
    if (this.#file !== null) return fileContent(this.#file, await this.#file.finish());
    return memoryContent(this.#buffer);
  }

  /** Leaves nothing of it. Rejects with the system's error where its file could not be removed. */
  async discard(): Promise<void> {
    this.#buffer.release();
    await this.#file?.remove();
  }

  async #spill(): Promise<SpoolFile> {
    const file = await this.#createFile();
    this.#file = file;
    await file.write(this.#buffer.view);
    this.#buffer.release();
    return file;
  }
}

function memoryContent(buffer: GrowingBuffer): BodyContent {
  const bytes = buffer.trim();
  return {
    size: bytes.length,
    sha256: hash("sha256", bytes, "hex"),
    bytes,
    path: null,
    read: async (position, length) => bytes.subarray(position, position + length),
    remove: async () => buffer.release(),
  };
}

function fileContent(file: SpoolFile, { size, sha256 }: { readonly size: number; readonly sha256: string }): BodyContent {
  return {
    size,
    sha256,
    bytes: null,
    path: file.path,
    read: (position, length) => file.read(position, length),
    remove: () => file.remove(),
  };
}

/** A body on its way in: in memory while it is small and there is room, from then on in a file. */

import { hash } from "node:crypto";
import type { ChunkSource } from "../core/chunk-source.ts";
import { ClamgateError } from "../core/errors.ts";
import type { BodyContent } from "./body-handle.ts";
import type { Budget } from "./budget.ts";
import { GrowingBuffer } from "./growing-buffer.ts";
import type { SpoolFile } from "./spool-file.ts";

export interface ArrivalOptions {
  readonly source: ChunkSource;
  readonly signal: AbortSignal;
  readonly maxBytes: number;
  readonly memory: Budget;
  readonly memoryBytesPerBody: number;
  readonly expectedBytes: number;
  readonly createFile: () => Promise<SpoolFile>;
}

/**
 * The digest is made of our own copy of the bytes, never of a chunk that its producer may still write to. Where the arrival ends early
 * the source is left as it is, to its owner; a chunk that is being waited for then is lost.
 */
export class Arrival {
  readonly #source: ChunkSource;
  readonly #signal: AbortSignal;
  readonly #maxBytes: number;
  readonly #createFile: () => Promise<SpoolFile>;
  readonly #buffer: GrowingBuffer;
  readonly #onAbort = (): void => this.stop(this.#signal.reason);
  #file: SpoolFile | null = null;
  #size = 0;
  #stopped: { readonly reason: unknown } | null = null;
  /** Ends the wait for a chunk. */
  #giveUp: ((reason: unknown) => void) | null = null;
  #ended: PromiseWithResolvers<void> | null = null;

  constructor({ source, signal, maxBytes, memory, memoryBytesPerBody, expectedBytes, createFile }: ArrivalOptions) {
    const belongsInFile = expectedBytes > memoryBytesPerBody;
    this.#buffer = new GrowingBuffer({ budget: memory, maxBytes: belongsInFile ? 0 : memoryBytesPerBody, expectedBytes });
    this.#source = source;
    this.#signal = signal;
    this.#maxBytes = maxBytes;
    this.#createFile = createFile;
  }

  /**
   * Takes in what is there, and answers what to wait for before the next call; null when the body is whole. It and what it answers fail
   * with `too-large`, `spool-full`, `internal`, the source's own error, or the reason that the arrival was ended for.
   */
  advance(): Promise<void> | null {
    for (;;) {
      this.#throwIfStopped();
      const chunk = this.#source.take();
      if (chunk === null) return null;
      if (chunk === undefined) return this.#unlessStopped(this.#source.ready());
      if (!(chunk instanceof Uint8Array)) {
        // A stream with an encoding set yields strings, whatever its type says; they would be copied as zeros.
        throw new ClamgateError("internal", "Internal error", { detail: "a body yielded something that is not bytes" });
      }
      this.#size += chunk.length;
      // Not `size > maxBytes`: a limit that is no number must refuse everything, not allow it.
      if (!(this.#size <= this.#maxBytes)) {
        const detail = `more than ${this.#maxBytes} bytes`;
        throw new ClamgateError("too-large", "The body is larger than the limit", { detail });
      }
      if (this.#file !== null || !this.#buffer.tryAppend(chunk)) return this.#appendToFile(chunk);
    }
  }

  /** Of the whole body. Fails as `advance` does. */
  content(): BodyContent | Promise<BodyContent> {
    this.#throwIfStopped();
    return this.#file === null ? memoryContent(this.#buffer) : this.#fileContent(this.#file);
  }

  /** Leaves nothing of it. Rejects with the system's error where its file could not be removed; null where there is none. */
  discard(): Promise<void> | null {
    this.#buffer.release();
    return this.#file?.remove() ?? null;
  }

  /** Ends the wait and everything after it with `reason`; the first reason stays. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason };
    this.#giveUp?.(this.#stopped.reason);
  }

  /** Resolves at the end, whatever that is. */
  get ended(): Promise<void> {
    this.#ended ??= Promise.withResolvers();
    return this.#ended.promise;
  }

  /** To be called at the end. */
  end(): void {
    if (this.#giveUp !== null) this.#signal.removeEventListener("abort", this.#onAbort);
    this.#ended?.resolve();
  }

  #throwIfStopped(): void {
    this.#signal.throwIfAborted();
    if (this.#stopped !== null) throw this.#stopped.reason;
  }

  /** One listener for all waits of a body. The source's own wait goes on when it is given up. */
  #unlessStopped(ready: Promise<void>): Promise<void> {
    if (this.#giveUp === null) this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      ready.then(resolve, reject);
    });
  }

  async #appendToFile(chunk: Uint8Array): Promise<void> {
    this.#file ??= await this.#spill();
    await this.#file.append(chunk);
  }

  async #spill(): Promise<SpoolFile> {
    const file = await this.#createFile();
    this.#file = file;
    await file.write(this.#buffer.view);
    this.#buffer.release();
    return file;
  }

  async #fileContent(file: SpoolFile): Promise<BodyContent> {
    const { size, sha256 } = await file.finish();
    this.#throwIfStopped();
    return {
      size,
      sha256,
      bytes: null,
      path: file.path,
      read: (position, length) => file.read(position, length),
      remove: () => file.remove(),
    };
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
    remove() {
      buffer.release();
      return null;
    },
  };
}

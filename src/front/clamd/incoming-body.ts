/** The body behind INSTREAM on its way to the scan: what has been received and not been taken, and how it ends. */

import { ChunkSource } from "../../core/chunk-source.ts";

/** Each is a read of the socket, 64 KiB at most. */
const maxPieces = 4;

export class IncomingBody extends ChunkSource {
  readonly #onRoom: () => void;
  readonly #pieces: Uint8Array[] = [];
  #waiter: PromiseWithResolvers<void> | null = null;
  #end: { readonly error: unknown } | "whole" | null = null;

  /** @param onRoom called when it is full no more. */
  constructor(onRoom: () => void) {
    super();
    this.#onRoom = onRoom;
  }

  /** True while no more should be received. */
  get isFull(): boolean {
    return this.#end === null && this.#pieces.length >= maxPieces;
  }

  append(piece: Uint8Array): void {
    if (this.#end !== null || piece.length === 0) return;
    this.#pieces.push(piece);
    this.#wake();
  }

  /** All of it has been received. */
  finish(): void {
    this.#end ??= "whole";
    this.#wake();
  }

  /** It comes to no end: whoever reads it gets the error, and what follows is dropped. The first end stays. */
  fail(error: unknown): void {
    if (this.#end !== null) return;
    this.#end = { error };
    this.#pieces.length = 0;
    this.#wake();
  }

  take(): Uint8Array | null | undefined {
    if (this.#end !== null && this.#end !== "whole") throw this.#end.error;
    const wasFull = this.isFull;
    const piece = this.#pieces.shift();
    if (piece === undefined) return this.#end === "whole" ? null : undefined;
    if (wasFull) this.#onRoom();
    return piece;
  }

  ready(): Promise<void> {
    if (this.#pieces.length > 0 || this.#end !== null) return Promise.resolve();
    this.#waiter ??= Promise.withResolvers();
    return this.#waiter.promise;
  }

  /** Who reads no further says so to the conversation, by how the scan ends. */
  leave(): void {}

  #wake(): void {
    this.#waiter?.resolve();
    this.#waiter = null;
  }
}

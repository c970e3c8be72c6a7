/** One contiguous piece of memory that grows by doubling, within its own limit and a shared budget. */

import type { Budget } from "./budget.ts";

export interface GrowingBufferOptions {
  readonly budget: Budget;
  readonly maxBytes: number;
  /** Where growing stops to double, when the end is believed to be known; a wrong guess costs only a copy. */
  readonly expectedBytes?: number;
}

/** Shared: a view of its own costs each small body more than its copy. */
const nothing = new Uint8Array(0);

/**
 * Chunks are copied in, always: what is hashed and scanned must be memory that no producer can still write to, and a
 * small view must not keep the large buffer behind it alive. An array of chunks would let a hostile sender spend
 * a hundred bytes of ours for each of its own.
 */
export class GrowingBuffer {
  readonly #budget: Budget;
  readonly #maxBytes: number;
  readonly #expectedBytes: number;
  #memory: Uint8Array = nothing;
  #length = 0;

  constructor({ budget, maxBytes, expectedBytes = 0 }: GrowingBufferOptions) {
    this.#budget = budget;
    this.#maxBytes = maxBytes;
    this.#expectedBytes = expectedBytes;
  }

  /** Bytes that were appended. */
  get length(): number {
    return this.#length;
  }

  /** A view of what was appended; valid until the next append, trim, clear or release. */
  get view(): Uint8Array {
    return this.#memory.subarray(0, this.#length);
  }

  /** Copies the chunk in; answers false and keeps nothing of it where the limit or the budget has no room for it. */
  tryAppend(chunk: Uint8Array): boolean {
    const needed = this.#length + chunk.length;
    if (needed > this.#maxBytes) return false;
    if (needed > this.#memory.length && !this.#grow(needed)) return false;
    this.#memory.set(chunk, this.#length);
    this.#length = needed;
    return true;
  }

  /** Gives back the memory that was grown in advance, and answers exactly what was appended. */
  trim(): Uint8Array {
    const spare = this.#memory.length - this.#length;
    if (spare > 0) {
      this.#move(this.#length);
      this.#budget.release(spare);
    }
    return this.#memory;
  }

  /** Forgets the bytes and keeps the memory for the next ones. */
  clear(): void {
    this.#length = 0;
  }

  /** Gives all memory back. */
  release(): void {
    this.#budget.release(this.#memory.length);
    this.#memory = nothing;
    this.#length = 0;
  }

  #grow(needed: number): boolean {
    const held = this.#memory.length;
    const generous = this.#expectedBytes >= needed ? Math.min(2 * held, this.#expectedBytes) : 2 * held;
    const wanted = Math.min(this.#maxBytes, Math.max(needed, generous));
    const capacity = [wanted, needed].find((bytes) => this.#budget.tryReserve(bytes - held));
    if (capacity === undefined) return false;
    this.#move(capacity);
    return true;
  }

  #move(capacity: number): void {
    // Not from the shared pool: a slice of it would keep 64 KiB alive for each small body.
    const memory = Buffer.allocUnsafeSlow(capacity);
    if (this.#length > 0) memory.set(this.view);
    this.#memory = memory;
  }
}

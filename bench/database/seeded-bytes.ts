/** Bytes that look random and are the same for the same seed, on every machine. */

import { type Cipheriv, createCipheriv, createHash } from "node:crypto";

const blockBytes = 1 << 20;

/** AES in counter mode over zeros: fast, and nothing that any compressor or pattern matcher could make use of. */
export class SeededBytes {
  readonly #cipher: Cipheriv;
  readonly #zeros = Buffer.alloc(blockBytes);
  #block = Buffer.alloc(0);
  #at = 0;

  constructor(seed: string) {
    const key = createHash("sha256").update(seed).digest();
    this.#cipher = createCipheriv("aes-128-ctr", key.subarray(0, 16), key.subarray(16));
  }

  /** The next `count` bytes (at most 1 MiB), to be used before the next call. */
  take(count: number): Buffer {
    if (this.#at + count > this.#block.length) {
      this.#block = this.#cipher.update(this.#zeros);
      this.#at = 0;
    }
    this.#at += count;
    return this.#block.subarray(this.#at - count, this.#at);
  }

  hex(count: number): string {
    return this.take(count).toString("hex");
  }

  /** A whole number from 0 to `limit` - 1; a limit of at most 2 ** 32. */
  below(limit: number): number {
    return Math.floor((this.take(4).readUInt32LE() / 2 ** 32) * limit);
  }

  /** From `low` to `high`, each decade as likely as the next. */
  logUniform(low: number, high: number): number {
    return Math.floor(low * (high / low) ** (this.take(4).readUInt32LE() / 2 ** 32));
  }
}

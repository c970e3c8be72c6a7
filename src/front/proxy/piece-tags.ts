/** Cuts objects into pieces and tags each, so that a later download can be told piece by piece to be the same bytes. */

import { type CipherGCM, createCipheriv, randomBytes } from "node:crypto";

export const tagBytes = 16;
export const smallestPieceBytes = 64 * 1024;
/** Of full size; a few smaller ones come before them. */
const maxFullPieces = 32;

/**
 * GMAC (NIST SP 800-38D) with a key of this process alone, over ten times as quick as SHA-256. The tags never leave the process: whoever
 * knows neither them nor the key finds other bytes with the same tag by luck alone, less than once in 2^100 attempts, each of which costs
 * a broken download. For the same reason the nonce, the piece's place, may come again with each object.
 */
const key = randomBytes(16);

/** One object, from its beginning. */
export class PieceTagger {
  readonly #fullBytes: number;
  #index = 0;
  #bytes = 0;
  #mac: CipherGCM = macOf(0);

  /** @param objectBytes as declared: it decides how the object is cut, and no larger one has many more pieces. */
  constructor(objectBytes: number) {
    this.#fullBytes = Math.max(smallestPieceBytes, Math.ceil(objectBytes / maxFullPieces));
  }

  /** Of the present piece. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What the present piece can still take. The first pieces are small, so that there is soon something to send. */
  get room(): number {
    return Math.min(this.#fullBytes, smallestPieceBytes * 2 ** this.#index) - this.#bytes;
  }

  /** @param part no longer than `room`. */
  update(part: Uint8Array): void {
    this.#mac.setAAD(part);
    this.#bytes += part.length;
  }

  /** Of the present piece; the next one begins. */
  cut(): Buffer {
    this.#mac.final();
    const tag = this.#mac.getAuthTag();
    this.#index += 1;
    this.#bytes = 0;
    this.#mac = macOf(this.#index);
    return tag;
  }
}

function macOf(index: number): CipherGCM {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 8);
  return createCipheriv("aes-128-gcm", key, nonce);
}

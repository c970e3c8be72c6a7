/** What the pieces of scanned objects are by digest, so that each can be told to be the same before it is sent on (download-proxy.md 2.3, P62). */

import { createHash, type Hash } from "node:crypto";

/** An object in pieces of one length, the last one perhaps shorter. */
export interface Pieces {
  readonly pieceBytes: number;
  /** SHA-256 of each, in order. */
  readonly digests: readonly Buffer[];
}

/**
 * Kept in this process alone, the least used forgotten first: an object whose pieces are not known is served like any other, and then they are.
 * By the digest of the whole, so that they are those of the very bytes that a remembered verdict is about.
 */
export interface KnownPieces {
  get(sha256: string): Pieces | null;
  set(sha256: string, pieces: Pieces): void;
}

/** 10,000 are about 15 MB. */
const maxObjects = 10_000;
const maxPieces = 32;
export const smallestPieceBytes = 64 * 1024;

/** An object that is one piece only gains nothing by being streamed. */
export function hasPieces(objectBytes: number): boolean {
  return objectBytes > smallestPieceBytes;
}

export function createKnownPieces(maxEntries = maxObjects): KnownPieces {
  const known = new Map<string, Pieces>();
  return {
    get(sha256) {
      const pieces = known.get(sha256);
      if (pieces === undefined) return null;
      known.delete(sha256);
      known.set(sha256, pieces);
      return pieces;
    },
    set(sha256, pieces) {
      known.delete(sha256);
      known.set(sha256, pieces);
      for (const oldest of known.keys()) {
        if (known.size <= maxEntries) break;
        known.delete(oldest);
      }
    },
  };
}

/** Cuts what comes into pieces and takes their digests. */
export class PieceHasher {
  readonly #pieceBytes: number;
  readonly #digests: Buffer[] = [];
  #hash: Hash = createHash("sha256");
  #bytes = 0;

  /** @param objectBytes as declared: not more pieces than can be remembered, however large it is. */
  constructor(objectBytes: number) {
    this.#pieceBytes = Math.max(smallestPieceBytes, Math.ceil(objectBytes / maxPieces));
  }

  update(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + this.#pieceBytes - this.#bytes);
      this.#hash.update(part);
      this.#bytes += part.length;
      at += part.length;
      if (this.#bytes === this.#pieceBytes) this.#cut();
    }
  }

  /** Once, at the object's end. */
  finish(): Pieces {
    if (this.#bytes > 0) this.#cut();
    return { pieceBytes: this.#pieceBytes, digests: this.#digests };
  }

  #cut(): void {
    this.#digests.push(this.#hash.digest());
    this.#hash = createHash("sha256");
    this.#bytes = 0;
  }
}

/** What the pieces of scanned objects are, so that each can be told to be the same before it is sent on (download-proxy.md 2.3, P62). */

import { PieceTagger, smallestPieceBytes, tagBytes } from "./piece-tags.ts";

/** An object that has been scanned, as `PieceTagger` cuts it. */
export interface Pieces {
  readonly objectBytes: number;
  /** One after the other, `tagBytes` each. */
  readonly tags: Uint8Array;
}

/**
 * Kept in this process alone, the least used forgotten first: an object whose pieces are not known is served like any other, and then they are.
 * By the digest of the whole, so that they are those of the very bytes that a remembered verdict is about.
 */
export interface KnownPieces {
  get(sha256: string): Pieces | null;
  set(sha256: string, pieces: Pieces): void;
  /** For an object of that length: what it tags can be compared with what is kept here, and with nothing else. */
  tagger(objectBytes: number): PieceTagger;
}

/** 10,000 are about 10 MB. */
const maxObjects = 10_000;

/** An object that is one piece only gains nothing by being streamed. */
export function hasPieces(objectBytes: number): boolean {
  return objectBytes > smallestPieceBytes;
}

/** @param key random, of `tagKeyBytes`, and nobody else's. */
export function createKnownPieces(key: Uint8Array, maxEntries = maxObjects): KnownPieces {
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
    tagger: (objectBytes) => new PieceTagger(key, objectBytes),
  };
}

/** Takes the tags of an object as it comes. */
export class PieceRecorder {
  readonly #objectBytes: number;
  readonly #tagger: PieceTagger;
  readonly #tags: Buffer[] = [];

  /** @param objectBytes as declared. */
  constructor(pieces: KnownPieces, objectBytes: number) {
    this.#objectBytes = objectBytes;
    this.#tagger = pieces.tagger(objectBytes);
  }

  update(chunk: Uint8Array): void {
    for (const { tag } of this.#tagger.take(chunk)) if (tag !== null) this.#tags.push(tag);
  }

  /** Once, at the object's end. */
  finish(): Pieces {
    const last = this.#tagger.end();
    if (last !== null) this.#tags.push(last);
    // Not from the shared pool: its 64 KiB would stay for as long as these are known.
    const tags = Buffer.allocUnsafeSlow(this.#tags.length * tagBytes);
    for (const [place, tag] of this.#tags.entries()) tags.set(tag, place * tagBytes);
    return { objectBytes: this.#objectBytes, tags };
  }
}

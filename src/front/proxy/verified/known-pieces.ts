/** What the pieces of scanned objects are, so that each can be told to be the same before it is sent on (download-proxy.md 2.3, P62). */

import { type CipherGCM, createCipheriv } from "node:crypto";

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

export const tagBytes = 16;
export const tagKeyBytes = 16;
export const smallestPieceBytes = 64 * 1024;
/** Of full size; a few smaller ones come before them. */
const maxFullPieces = 32;

/** How long the piece at that place is, but for the last one. The first are small, so that there is soon something to send. */
export function pieceBytes(objectBytes: number, place: number): number {
  return Math.min(Math.max(smallestPieceBytes, Math.ceil(objectBytes / maxFullPieces)), smallestPieceBytes * 2 ** place);
}

/**
 * One object, from its beginning, by GMAC (NIST SP 800-38D), which is over ten times as quick as SHA-256. Neither the tags nor the key
 * may leave the process: whoever knows neither finds other bytes with the same tag by luck alone, less than once in 2^100 attempts,
 * each of which costs a broken download. For the same reason the nonce, the piece's place, may come again with each object.
 */
export class PieceTagger {
  readonly #key: Uint8Array;
  readonly #objectBytes: number;
  #place = 0;
  #bytes = 0;
  #mac: CipherGCM | null = null;

  /** @param objectBytes as declared: it decides how the object is cut. */
  constructor(key: Uint8Array, objectBytes: number) {
    this.#key = key;
    this.#objectBytes = objectBytes;
  }

  /** Cuts the chunk where pieces end. Each part comes when it has been taken in, with the tag of its piece where it is the last of it. */
  *take(chunk: Uint8Array): Generator<{ readonly part: Uint8Array; readonly tag: Buffer | null }, void, undefined> {
    for (let at = 0; at < chunk.length; ) {
      const room = pieceBytes(this.#objectBytes, this.#place) - this.#bytes;
      const part = chunk.subarray(at, at + room);
      this.#mac ??= macOf(this.#key, this.#place);
      this.#mac.setAAD(part);
      this.#bytes += part.length;
      at += part.length;
      yield { part, tag: part.length === room ? this.end() : null };
    }
  }

  /** The tag of a piece that the object's end has cut short; null where there is none. */
  end(): Buffer | null {
    const mac = this.#mac;
    if (mac === null) return null;
    mac.final();
    this.#mac = null;
    this.#place += 1;
    this.#bytes = 0;
    return mac.getAuthTag();
  }
}

function macOf(key: Uint8Array, place: number): CipherGCM {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(place, 8);
  return createCipheriv("aes-128-gcm", key, nonce);
}

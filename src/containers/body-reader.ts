/** Random access to a body for those who read its directories: within a time, in turn with whatever else the process does. */

import { freeChunk } from "../core/chunk-source.ts";
import type { Clock } from "../core/clock.ts";
import { LimitReached, type Look, type Piece } from "../core/look-inside.ts";
import type { SpooledBody } from "../core/spool.ts";

export interface ReaderOptions {
  readonly look: Look;
  /** Entries of one directory; 0: as many as there can be. */
  readonly maxFiles: number;
  readonly clock: Clock;
  /** Resolves when it is this reader's turn again: see `createNextTurn`. */
  readonly nextTurn: () => Promise<void>;
  /** Whether what begins so is worth a look of its own. */
  readonly isWorthALook: (head: Buffer) => boolean;
}

/** A directory of so many entries takes some seconds; it is also what may be sorted at once. */
const mostEntries = 1_000_000;
const pageBytes = 16 * 1024;
/** A directory and what it points to, alternately. */
const keptPages = 4;
const pieceBytes = 256 * 1024;
/** So long may one reader hold everybody up. */
const sliceMs = 3;

export class BodyReader {
  readonly size: number;
  readonly maxEntries: number;
  readonly #body: SpooledBody;
  readonly #options: ReaderOptions;
  #sliceEndsAt: number;
  /** Newest first; of a body in a file. */
  #pages: readonly { readonly index: number; readonly bytes: Buffer }[] = [];

  constructor(body: SpooledBody, options: ReaderOptions) {
    this.size = body.size;
    this.maxEntries = options.maxFiles === 0 ? mostEntries : Math.min(options.maxFiles, mostEntries);
    this.#body = body;
    this.#options = options;
    this.#sliceEndsAt = options.clock() + sliceMs;
  }

  /** The bytes from `at` on, fewer than `length` where the body ends before, none outside of it. Not to be written to. */
  async some(at: number, length: number): Promise<Buffer> {
    await this.breathe();
    const end = Math.min(at + length, this.size);
    if (!(at >= 0 && at < end)) return Buffer.alloc(0);
    const { bytes } = this.#body;
    if (bytes !== null) return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at);
    const first = Math.floor(at / pageBytes);
    if (end <= (first + 1) * pageBytes)
      return (await this.#page(first)).subarray(at - first * pageBytes, end - first * pageBytes);
    return this.#read(at, end);
  }

  /** Null where the body has not so many bytes there. */
  async exactly(at: number, length: number): Promise<Buffer | null> {
    const bytes = await this.some(at, length);
    return bytes.length === length ? bytes : null;
  }

  /**
   * The body in order, each piece with the last `overlap` bytes of the one before it in front, so that nothing shorter than that is cut.
   * A piece is there until the next one is asked for.
   */
  async *pieces(
    overlap: number,
    from = 0,
    to = this.size,
  ): AsyncGenerator<{ readonly at: number; readonly bytes: Buffer }, void, undefined> {
    for (let at = from; at < Math.min(to, this.size); at += pieceBytes) {
      const start = Math.max(from, at - overlap);
      const bytes = await this.some(start, Math.min(at + pieceBytes, to) - start);
      yield { at: start, bytes };
      // What is no longer may be a page, which others still read.
      if (this.#body.bytes === null && bytes.length > pageBytes) freeChunk(bytes);
    }
  }

  /** As `pieces`, from `from` on, to `to` or the end. */
  async *range(from: number, to = this.size): AsyncGenerator<Buffer, void, undefined> {
    for await (const { bytes } of this.pieces(0, from, to)) yield bytes;
  }

  /** As `Look.handOver`. */
  async handOver(piece: Piece): Promise<void> {
    await this.#options.look.handOver(piece);
    this.#sliceEndsAt = this.#options.clock() + sliceMs;
  }

  isWorthALook(head: Buffer): boolean {
    return this.#options.isWorthALook(head);
  }

  /** Where the bytes stand first from `from` on; -1 where they do not. */
  async indexOf(wanted: Uint8Array, from = 0): Promise<number> {
    for await (const { at, bytes } of this.pieces(wanted.length - 1, from)) {
      const index = bytes.indexOf(wanted);
      if (index !== -1) return at + index;
    }
    return -1;
  }

  /** To be called every few hundred steps. Rejects with LimitReached, or the signal's reason. */
  async breathe(): Promise<void> {
    const { clock, look, nextTurn } = this.#options;
    if (look.remainingMs() < 0) throw new LimitReached("limit-time");
    if (clock() < this.#sliceEndsAt) return;
    await nextTurn();
    look.signal.throwIfAborted();
    this.#sliceEndsAt = clock() + sliceMs;
  }

  async #page(index: number): Promise<Buffer> {
    const kept = this.#pages.find((page) => page.index === index);
    if (kept !== undefined && kept === this.#pages[0]) return kept.bytes;
    const start = index * pageBytes;
    const page = kept ?? { index, bytes: await this.#read(start, Math.min(start + pageBytes, this.size)) };
    this.#pages = [page, ...this.#pages.filter((other) => other !== page).slice(0, keptPages - 1)];
    return page.bytes;
  }

  async #read(start: number, end: number): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#body.read({ start, end, pieceBytes: end - start })) pieces.push(piece);
    const [only] = pieces;
    if (only !== undefined && pieces.length === 1) return Buffer.from(only.buffer, only.byteOffset, only.length);
    return Buffer.concat(pieces);
  }
}

/** One turn of the event loop for each who waits, in order: however many read, they hold it up no longer than one of them. */
export function createNextTurn(): () => Promise<void> {
  const waiting = new Set<() => void>();
  const serve = () => {
    for (const next of waiting) {
      waiting.delete(next);
      next();
      break;
    }
    if (waiting.size > 0) setImmediate(serve);
  };
  return () =>
    new Promise((resolve) => {
      waiting.add(resolve);
      if (waiting.size === 1) setImmediate(serve);
    });
}

/** The handles on one whole body: each is disposed on its own, and the last one takes the bytes with it. */

import { ClamgateError } from "../core/errors.ts";
import type { BodyRange, SpooledBody } from "../core/spool.ts";

/** Where the bytes of a whole body are. */
export interface BodyContent {
  readonly size: number;
  readonly sha256: string;
  readonly bytes: Uint8Array | null;
  readonly path: string | null;
  /** At least one and up to `length` bytes from `position`, which is before the end. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Frees the bytes; once is enough. */
  remove(): Promise<void>;
}

/** One body's content and the number of its open handles. */
export interface SharedContent {
  /** Null once the bytes are gone: at the last disposal, or when the spool closed under its holders. */
  content: BodyContent | null;
  holders: number;
  /** Frees the bytes, whoever still holds them; called again, it waits for the first. Never rejects. */
  readonly release: () => Promise<void>;
}

const usualPieceBytes = 64 * 1024;

/**
 * `size` and `sha256` stay readable for the log; everything else throws `internal` after the disposal, and a read under way
 * ends with that error at its next piece. An abandoned iterator therefore holds neither the bytes nor a descriptor.
 */
export class BodyHandle implements SpooledBody {
  readonly size: number;
  readonly sha256: string;
  readonly #shared: SharedContent;
  #disposal: Promise<void> | null = null;

  constructor(shared: SharedContent, { size, sha256 }: { readonly size: number; readonly sha256: string }) {
    this.size = size;
    this.sha256 = sha256;
    this.#shared = shared;
    shared.holders += 1;
  }

  /** Exactly the body's bytes, in one piece. They are shared: not to be written to. */
  get bytes(): Uint8Array | null {
    return this.#content().bytes;
  }

  get path(): string | null {
    return this.#content().path;
  }

  /** Each piece is read when it is asked for. Throws RangeError for a range that is not within the body. */
  read({ start = 0, end = this.size, pieceBytes = usualPieceBytes }: BodyRange = {}): AsyncIterable<Uint8Array> {
    this.#content();
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end || end > this.size) {
      throw new RangeError(`no range ${start} to ${end} in a body of ${this.size} bytes`);
    }
    return this.#pieces(start, end, pieceBytes);
  }

  hold(): SpooledBody {
    this.#content();
    return new BodyHandle(this.#shared, this);
  }

  /** Never rejects; twice is harmless. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async *#pieces(start: number, end: number, pieceBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let position = start; position < end; ) {
      const piece = await this.#content().read(position, Math.min(pieceBytes, end - position));
      // The disposal may have closed the file, and given its descriptor to another, while the read was under way.
      this.#content();
      position += piece.length;
      yield piece;
    }
  }

  async #dispose(): Promise<void> {
    this.#shared.holders -= 1;
    if (this.#shared.holders === 0) await this.#shared.release();
  }

  #content(): BodyContent {
    const { content } = this.#shared;
    if (content === null || this.#disposal !== null) {
      throw new ClamgateError("internal", "Internal error", { detail: "a spooled body was used after its disposal" });
    }
    return content;
  }
}

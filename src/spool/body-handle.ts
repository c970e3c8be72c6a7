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
  /** Frees the bytes, once; null where that is done at once. */
  remove(): Promise<void> | null;
}

/** What a disposal answers that had nothing to wait for. */
export const released: Promise<void> = Promise.resolve();

/** One body's content, until its last handle is disposed or the spool closes under its holders. */
export class SharedContent {
  holders = 0;
  readonly #remove: (removal: Promise<void> | null) => Promise<void>;
  #content: BodyContent | null;
  #removal: Promise<void> | null = null;

  /** @param onRemove told of the removal, answers when all is done; never rejects. */
  constructor(content: BodyContent, onRemove: (removal: Promise<void> | null) => Promise<void>) {
    this.#content = content;
    this.#remove = onRemove;
  }

  /** Null once the bytes are gone. */
  get content(): BodyContent | null {
    return this.#content;
  }

  /** Frees the bytes, whoever still holds them; called again, it waits for the first. Never rejects. */
  release(): Promise<void> {
    if (this.#content !== null) {
      const removal = this.#content.remove();
      this.#content = null;
      this.#removal = this.#remove(removal);
    }
    return this.#removal ?? released;
  }
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
    if (this.#disposal === null) {
      this.#shared.holders -= 1;
      this.#disposal = this.#shared.holders === 0 ? this.#shared.release() : released;
    }
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

  #content(): BodyContent {
    const { content } = this.#shared;
    if (content === null || this.#disposal !== null) {
      throw new ClamgateError("internal", "Internal error", { detail: "a spooled body was used after its disposal" });
    }
    return content;
  }
}

/** Where bodies are held: the interface of the spool, and of one body in it. */

export interface BodyRange {
  readonly start?: number;
  readonly end?: number;
  readonly pieceBytes?: number;
}

export interface SpooledBody extends AsyncDisposable {
  /** Bytes. */
  readonly size: number;
  /** Lower-case hexadecimal SHA-256. */
  readonly sha256: string;
  /** The bytes when they are in memory, else null. */
  readonly bytes: Uint8Array | null;
  /** Absolute, link-free path of the private file, else null. */
  readonly path: string | null;
  /**
   * Streams the bytes from `start` (inclusive, default 0) to `end` (exclusive, default size), at most `pieceBytes` (default 64 KiB) at a
   * time. Where `bytes` is null the reader has them for itself.
   */
  read(range?: BodyRange): AsyncIterable<Uint8Array>;
  /** A second hold on the same bytes, to be disposed on its own. */
  hold(): SpooledBody;
}

export interface SpoolOptions {
  /** A body of more bytes than this is refused with `too-large`. */
  readonly maxBytes: number;
  /** What the sender declared, if it did: larger than the memory share goes to a file at once. Never trusted as a length. */
  readonly expectedBytes?: number;
  readonly signal: AbortSignal;
}

export interface Spool {
  /**
   * Reads `body` to its end. Rejects with `too-large`, `spool-full`, the signal's reason, or the error that `body` threw;
   * nothing is left behind then, and `body` has not been read further. Each chunk is copied before the next one is asked for:
   * from then on its memory may be used anew, or be gone.
   */
  take(body: AsyncIterable<Uint8Array>, options: SpoolOptions): Promise<SpooledBody>;
  /** What is held right now. */
  usage(): { readonly bodies: number; readonly memoryBytes: number; readonly fileBytes: number };
  /** Removes everything, held or not. */
  close(): Promise<void>;
}

/**
 * Multipart bodies (RFC 2046 §5.1) as events, without copying a byte of a part. A body that two readers could split differently is
 * refused: what is preamble, header or data to one is a file to another. What is accepted Go's mime/multipart splits likewise.
 */

import { BoundedBuffer } from "../bounded-buffer.ts";
import { ProtocolError } from "../protocol-error.ts";
import { checkBoundary } from "./boundary.ts";
import { DelimiterSearch, type LineEnd } from "./delimiter.ts";
import { type PartHeaders, parsePartHeaders } from "./headers.ts";

export type MultipartEvent =
  | { readonly type: "part-begin"; readonly headers: PartHeaders }
  /** A view of the chunk that was fed (or of a constant of the reader): valid as long as the chunk is left alone. Never empty. */
  | { readonly type: "data"; readonly bytes: Uint8Array }
  /** The part is whole: its delimiter line has been seen to its end. */
  | { readonly type: "part-end" }
  /** The closing delimiter line has been seen to its end. */
  | { readonly type: "end" };

export interface MultipartLimits {
  /** One part's header lines with the blank line that ends them. Default 64 KiB. */
  readonly maxHeaderBytes?: number;
  /** Per part. Default 100. */
  readonly maxHeaders?: number;
  /** Default unlimited. */
  readonly maxParts?: number;
}

/** What the next byte is part of. "…-feed": the LF behind a CR. "delimiter": decides whether one that was found is closing. */
type State =
  | "begin"
  | "begin-feed"
  | "boundary"
  | "delimiter"
  | "delimiter-feed"
  | "dash"
  | "headers"
  | "data"
  | "end"
  | "end-feed";

/** Behind the closing delimiter: most write one, some two. */
const maxEndLines = 16;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const dash = 0x2d;

/**
 * Feed chunks as they come, then `finish()`. Both are generators, to be run to their end before the next call: the events before a
 * fault come out before the ProtocolError does. After a ProtocolError each call throws it again.
 */
export class MultipartParser {
  readonly #maxHeaders: number;
  readonly #maxParts: number;
  readonly #header: BoundedBuffer;
  /** "--" and the boundary: these bytes are nowhere but in a delimiter. */
  readonly #mark: Buffer;
  /** The first line end of the body is that of its whole framing; null until it is known. */
  #lineEnd: LineEnd | null = null;
  #search: DelimiterSearch;
  #state: State = "begin";
  /** Bytes of the body before the chunk that is being read. */
  #before = 0;
  #matched = 0;
  #parts = 0;
  #contentLength: number | null = null;
  #dataBytes = 0;
  #headersAt = 0;
  #headerLineStart = 0;
  #isEnded = false;
  #endLines = 0;
  /** What the last step has found; `feed` hands it out. */
  readonly #found: MultipartEvent[] = [];
  #failure: unknown = null;

  /** Throws ProtocolError for a boundary that is none (RFC 2046 §5.1.1). */
  constructor(boundary: string, limits: MultipartLimits = {}) {
    checkBoundary(boundary);
    this.#maxHeaders = limits.maxHeaders ?? 100;
    this.#maxParts = limits.maxParts ?? Number.POSITIVE_INFINITY;
    this.#header = new BoundedBuffer(limits.maxHeaderBytes ?? 65_536, "a part's header");
    this.#mark = Buffer.from(`--${boundary}`);
    this.#search = new DelimiterSearch("\r\n", this.#mark);
  }

  /** Throws ProtocolError where the bytes can be read otherwise, cannot be multipart, or pass a limit. */
  *feed(chunk: Uint8Array): Generator<MultipartEvent, void, undefined> {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < bytes.length && this.#failure === null; ) {
      at = this.#step(bytes, at);
      if (this.#found.length > 0) yield* this.#found.splice(0);
    }
    if (this.#failure !== null) throw this.#failure;
    this.#before += bytes.length;
  }

  /** Throws ProtocolError when the closing delimiter has not been seen whole. */
  *finish(): Generator<MultipartEvent, void, undefined> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#state !== "end") {
      this.#failure = new ProtocolError("the multipart body ends before its closing boundary");
      throw this.#failure;
    }
    if (!this.#isEnded) this.#endOfBody();
    yield* this.#found.splice(0);
  }

  /** As `#read`, but keeps the fault: what was found before it comes out before it. */
  #step(chunk: Buffer, at: number): number {
    try {
      return this.#read(chunk, at);
    } catch (thrown) {
      this.#failure = thrown;
      return at;
    }
  }

  /** Returns where to go on in `chunk`. */
  #read(chunk: Buffer, at: number): number {
    const byte = chunk[at];
    switch (this.#state) {
      case "begin":
        this.#state = byte === carriageReturn ? "begin-feed" : "boundary";
        if (byte === lineFeed) this.#setLineEnd("\n", at);
        return byte === carriageReturn || byte === lineFeed ? at + 1 : at;
      case "begin-feed":
        this.#closeLine(byte, at);
        this.#state = "boundary";
        return at + 1;
      case "boundary":
        return this.#readBoundary(chunk, at);
      case "delimiter":
        if (byte === dash) {
          this.#state = "dash";
        } else if (byte === carriageReturn) {
          this.#state = "delimiter-feed";
        } else if (byte === lineFeed) {
          this.#setLineEnd("\n", at);
          this.#endOfDelimiter(at);
        } else {
          throw this.#fault("the boundary is followed by neither a line end nor two dashes", at);
        }
        return at + 1;
      case "delimiter-feed":
        this.#closeLine(byte, at);
        this.#endOfDelimiter(at);
        return at + 1;
      case "dash":
        if (byte !== dash) throw this.#fault("the boundary is followed by one dash", at);
        this.#state = "end";
        return at + 1;
      case "headers":
        return this.#readHeaders(chunk, at);
      case "data":
        return this.#readData(chunk, at);
      case "end":
        if (byte === carriageReturn) {
          this.#state = "end-feed";
        } else if (byte === lineFeed) {
          this.#setLineEnd("\n", at);
          this.#endOfLine(at);
        } else {
          throw this.#fault("something stands behind the closing boundary", at);
        }
        return at + 1;
      case "end-feed":
        this.#closeLine(byte, at);
        this.#endOfLine(at);
        return at + 1;
    }
  }

  /** The first one, which nothing stands before. */
  #readBoundary(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length && this.#matched < this.#mark.length) {
      if (chunk[at] !== this.#mark[this.#matched]) throw this.#fault("the body does not begin with its boundary", at);
      this.#matched += 1;
      at += 1;
    }
    if (this.#matched === this.#mark.length) this.#state = "delimiter";
    return at;
  }

  #readHeaders(chunk: Buffer, at: number): number {
    const feed = chunk.indexOf(lineFeed, at);
    const next = feed < 0 ? chunk.length : feed + 1;
    const headers = this.#takeHeaders(chunk.subarray(at, next));
    if (headers === null) return next;
    this.#header.clear();
    this.#headerLineStart = 0;
    this.#contentLength = headers.contentLength;
    this.#dataBytes = 0;
    this.#state = "data";
    this.#search.begin();
    this.#found.push({ type: "part-begin", headers });
    return next;
  }

  /** @param bytes of one line. Null where they do not end the headers. */
  #takeHeaders(bytes: Buffer): PartHeaders | null {
    try {
      this.#header.append(bytes);
      if (bytes.at(-1) !== lineFeed) return null;
      const line = this.#header.view(this.#headerLineStart);
      const lineEnd = line.at(-2) === carriageReturn ? "\r\n" : "\n";
      if (lineEnd !== this.#lineEnd) throw new ProtocolError("a part's header line ends otherwise than the boundary's");
      if (line.includes(this.#mark)) throw new ProtocolError("the boundary stands among a part's headers");
      if (line.length === lineEnd.length) {
        return parsePartHeaders(this.#header.view(0, this.#headerLineStart), lineEnd, this.#maxHeaders);
      }
      this.#headerLineStart = this.#header.length;
      return null;
    } catch (thrown) {
      if (!(thrown instanceof ProtocolError)) throw thrown;
      throw new ProtocolError(`${thrown.message} (part ${this.#parts}, whose headers begin at byte ${this.#headersAt})`);
    }
  }

  #readData(chunk: Buffer, at: number): number {
    const found = this.#search.read(chunk, at);
    if (found.kind === "ambiguous") throw this.#fault(found.message, found.at);
    for (const bytes of found.text) {
      if (bytes.length === 0) continue;
      this.#dataBytes += bytes.length;
      this.#found.push({ type: "data", bytes });
    }
    if (found.kind === "text") return chunk.length;
    if (this.#contentLength !== null && this.#contentLength !== this.#dataBytes) {
      throw this.#fault(`a part has ${this.#dataBytes} bytes and the Content-Length ${this.#contentLength}`, found.end);
    }
    this.#state = "delimiter";
    return found.end;
  }

  #endOfDelimiter(at: number): void {
    if (this.#parts > 0) this.#found.push({ type: "part-end" });
    this.#parts += 1;
    if (this.#parts > this.#maxParts) throw new ProtocolError(`the multipart body has more than ${this.#maxParts} parts`);
    this.#state = "headers";
    this.#headersAt = this.#before + at + 1;
  }

  /** The closing delimiter's line end, and those that follow it. */
  #endOfLine(at: number): void {
    this.#state = "end";
    if (!this.#isEnded) this.#endOfBody();
    this.#endLines += 1;
    if (this.#endLines > maxEndLines) throw this.#fault("there are too many line ends behind the closing boundary", at);
  }

  #endOfBody(): void {
    this.#isEnded = true;
    if (this.#parts > 0) this.#found.push({ type: "part-end" });
    this.#found.push({ type: "end" });
  }

  /** The byte behind a CR. */
  #closeLine(byte: number | undefined, at: number): void {
    if (byte !== lineFeed) throw this.#fault("a CR stands alone among the boundaries", at);
    this.#setLineEnd("\r\n", at);
  }

  #setLineEnd(lineEnd: LineEnd, at: number): void {
    if (this.#lineEnd === lineEnd) return;
    if (this.#lineEnd !== null) throw this.#fault("the lines of the form end in LF here and in CR LF there", at);
    this.#lineEnd = lineEnd;
    if (lineEnd === "\n") this.#search = new DelimiterSearch(lineEnd, this.#mark);
  }

  /** @param at in the chunk that is being read. */
  #fault(message: string, at: number): ProtocolError {
    return new ProtocolError(`${message} (part ${this.#parts}, byte ${this.#before + at})`);
  }
}

/**
 * Multipart bodies (RFC 2046 §5.1) as events, split byte for byte as Go's mime/multipart splits them, without copying a byte of a part.
 * Only what Go reads as a whole body with further boundaries behind it is refused: other parsers take files out of there.
 */

import { BoundedBuffer } from "../bounded-buffer.ts";
import { ProtocolError } from "../protocol-error.ts";
import { isBlank, MultipartDelimiter } from "./delimiter.ts";
import { type PartHeaders, parsePartHeaders } from "./headers.ts";

export type MultipartEvent =
  | { readonly type: "part-begin"; readonly headers: PartHeaders }
  /** A view of the chunk that was fed (or of a constant of the parser): valid as long as the chunk is left alone. Never empty. */
  | { readonly type: "data"; readonly bytes: Uint8Array }
  /** The part is whole: its delimiter line has been seen to its end. */
  | { readonly type: "part-end" }
  /** The closing delimiter line has been seen to its end. What follows is ignored, unless a delimiter is among it. */
  | { readonly type: "end" };

export interface MultipartLimits {
  /** One part's header lines with the blank line that ends them; also the blanks behind one delimiter. Default 64 KiB. */
  readonly maxHeaderBytes?: number;
  /** Per part. Default 100. */
  readonly maxHeaders?: number;
  /** Default unlimited. */
  readonly maxParts?: number;
  /** The preamble, and again the epilogue: bytes that nobody scans must not be endless. Default 64 KiB. */
  readonly maxIgnoredBytes?: number;
}

/**
 * What the next byte is part of. "after-delimiter": decides whether the delimiter is one; "closing-dash": the second dash of a closing
 * one; "padding": the blanks behind either; "line-end": the LF behind its CR.
 */
type State = "preamble" | "headers" | "body" | "after-delimiter" | "closing-dash" | "padding" | "line-end" | "epilogue";

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const dash = 0x2d;

/**
 * Feed chunks as they come, then `finish()`. Both are generators, to be run to their end before the next call: the events before a
 * fault come out before the ProtocolError does, however the bytes were cut. After a ProtocolError each call throws it again.
 */
export class MultipartParser {
  readonly #maxHeaderBytes: number;
  readonly #maxHeaders: number;
  readonly #maxParts: number;
  readonly #maxIgnoredBytes: number;
  readonly #header: BoundedBuffer;
  readonly #boundary: string;
  /** The line end of the first delimiter line is that of all (Go's rule); until it is known, LF, in which both end. */
  #delimiter: MultipartDelimiter;
  #state: State = "preamble";
  /** How many bytes of `#delimiter.closing` are behind us and not given out. */
  #matched = 1;
  /** How many of those are not in the body: where a body or a part begins, a delimiter needs no line end before it. */
  #virtual = 1;
  #isClosing = false;
  #isPartOpen = false;
  #parts = 0;
  #headerLineStart = 0;
  #paddingBytes = 0;
  #ignoredBytes = 0;
  #failure: unknown = null;

  /** @param boundary one character per byte, as in a header of node:http. Throws ProtocolError when it is empty or holds a control character. */
  constructor(boundary: string, limits: MultipartLimits = {}) {
    if (!isBoundary(boundary)) throw new ProtocolError("the multipart boundary is malformed");
    this.#maxHeaderBytes = limits.maxHeaderBytes ?? 65_536;
    this.#maxHeaders = limits.maxHeaders ?? 100;
    this.#maxParts = limits.maxParts ?? Number.POSITIVE_INFINITY;
    this.#maxIgnoredBytes = limits.maxIgnoredBytes ?? 65_536;
    this.#header = new BoundedBuffer(this.#maxHeaderBytes, "a part's header");
    this.#boundary = boundary;
    this.#delimiter = new MultipartDelimiter("\n", boundary);
  }

  /** Throws ProtocolError where the bytes cannot be multipart, or pass a limit. */
  *feed(chunk: Uint8Array): Generator<MultipartEvent, void, undefined> {
    if (this.#failure !== null) throw this.#failure;
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    try {
      let at = 0;
      while (at < bytes.length) at = yield* this.#read(bytes, at);
    } catch (thrown) {
      this.#failure = thrown;
      throw thrown;
    }
  }

  /** Throws ProtocolError when the closing delimiter has not been seen whole. */
  *finish(): Generator<MultipartEvent, void, undefined> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#state === "epilogue") return;
    if (this.#state === "padding" && this.#isClosing) {
      yield* this.#endOfDelimiterLine();
      return;
    }
    this.#failure = new ProtocolError("the multipart body ends before its closing boundary");
    throw this.#failure;
  }

  /** Returns where to go on in `chunk`. */
  *#read(chunk: Buffer, at: number): Generator<MultipartEvent, number, undefined> {
    const byte = chunk[at];
    switch (this.#state) {
      case "preamble":
      case "body":
        return yield* this.#readText(chunk, at);
      case "headers":
        return yield* this.#readHeaders(chunk, at);
      case "after-delimiter":
        if (byte === dash) {
          this.#state = "closing-dash";
          return at + 1;
        }
        if (!isBlank(byte) && byte !== carriageReturn && byte !== lineFeed) {
          return yield* this.#resumeText(at, this.#delimiter.bytes.length);
        }
        this.#state = "padding";
        return at;
      case "closing-dash":
        if (byte !== dash) return yield* this.#resumeText(at, this.#delimiter.bytes.length + 1);
        this.#isClosing = true;
        this.#state = "padding";
        return at + 1;
      case "padding":
        if (isBlank(byte)) {
          this.#paddingBytes += 1;
          if (this.#paddingBytes > this.#maxHeaderBytes) {
            throw new ProtocolError("a multipart boundary is followed by too many blanks");
          }
          return at + 1;
        }
        if (byte === carriageReturn && (!this.#isPartOpen || this.#delimiter.lineEnd === "\r\n")) {
          this.#state = "line-end";
          return at + 1;
        }
        // A body whose first delimiter is a closing one has not said that its lines end in LF: Go wants CRLF then.
        if (byte !== lineFeed || this.#delimiter.lineEnd !== "\n" || (this.#isClosing && !this.#isPartOpen)) {
          return yield* this.#refuseLine(at);
        }
        yield* this.#endOfDelimiterLine();
        return at + 1;
      case "line-end":
        if (byte !== lineFeed) return yield* this.#refuseLine(at);
        if (!this.#isPartOpen) this.#delimiter = new MultipartDelimiter("\r\n", this.#boundary);
        yield* this.#endOfDelimiterLine();
        return at + 1;
      case "epilogue":
        this.#ignore(chunk.length - at);
        this.#refuseDelimiter(chunk, at);
        return chunk.length;
    }
  }

  /**
   * Where one parser sees the end, another may see a line of a header or of a file, and go on to the next delimiter: busboy does
   * behind a blank line that ends in LF.
   */
  #refuseDelimiter(chunk: Buffer, start: number): void {
    const more = this.#delimiter.match(chunk, start, this.#matched);
    this.#matched += more;
    const at = start + more;
    if (this.#matched < this.#delimiter.bytes.length) {
      if (at === chunk.length) return;
      this.#matched = this.#delimiter.tailIn(chunk, at);
      if (chunk.indexOf(this.#delimiter.bytes, at) < 0) return;
    }
    throw new ProtocolError("a multipart boundary stands behind the closing one");
  }

  /** Gives out text up to the next delimiter; a partial match at the chunk's end is kept as a number. */
  *#readText(chunk: Buffer, start: number): Generator<MultipartEvent, number, undefined> {
    let at = start;
    if (this.#matched > 0) {
      const more = this.#delimiter.match(chunk, at, this.#matched);
      at += more;
      this.#matched += more;
      if (this.#matched === this.#delimiter.bytes.length) {
        this.#state = "after-delimiter";
        return at;
      }
      if (at === chunk.length) return at;
      yield* this.#release(this.#matched);
    }
    const found = this.#delimiter.indexIn(chunk, at);
    const textEnd = found < 0 ? chunk.length - this.#delimiter.tailIn(chunk, at) : found;
    if (textEnd > at) yield* this.#give(chunk.subarray(at, textEnd));
    if (found < 0) {
      this.#matched = chunk.length - textEnd;
      return chunk.length;
    }
    this.#matched = this.#delimiter.bytes.length;
    this.#state = "after-delimiter";
    return found + this.#matched;
  }

  /** What looked like a delimiter is text. */
  *#resumeText(at: number, matched: number): Generator<MultipartEvent, number, undefined> {
    this.#state = this.#isPartOpen ? "body" : "preamble";
    this.#isClosing = false;
    this.#paddingBytes = 0;
    yield* this.#release(matched);
    return at;
  }

  /** A delimiter with anything but blanks behind it is a line like any other in the preamble, and ambiguous after that: Go's rule. */
  *#refuseLine(at: number): Generator<MultipartEvent, number, undefined> {
    if (this.#isPartOpen) throw new ProtocolError("a multipart boundary is not followed by its line end");
    return yield* this.#resumeText(at, this.#delimiter.bytes.length);
  }

  *#release(matched: number): Generator<MultipartEvent, void, undefined> {
    const held = this.#delimiter.closing.subarray(this.#virtual, matched);
    this.#matched = 0;
    this.#virtual = 0;
    if (held.length > 0) yield* this.#give(held);
  }

  *#give(bytes: Uint8Array): Generator<MultipartEvent, void, undefined> {
    if (this.#isPartOpen) yield { type: "data", bytes };
    else this.#ignore(bytes.length);
  }

  #ignore(bytes: number): void {
    this.#ignoredBytes += bytes;
    if (this.#ignoredBytes > this.#maxIgnoredBytes) {
      throw new ProtocolError(`more than ${this.#maxIgnoredBytes} bytes stand outside of the parts`);
    }
  }

  *#endOfDelimiterLine(): Generator<MultipartEvent, void, undefined> {
    if (this.#isPartOpen) {
      this.#isPartOpen = false;
      yield { type: "part-end" };
    }
    this.#paddingBytes = 0;
    this.#ignoredBytes = 0;
    if (this.#isClosing) {
      this.#state = "epilogue";
      // The line end before it is that of the closing delimiter. LF: whatever the others' line ends are.
      this.#delimiter = new MultipartDelimiter("\n", this.#boundary);
      this.#matched = 1;
      yield { type: "end" };
      return;
    }
    this.#parts += 1;
    if (this.#parts > this.#maxParts) throw new ProtocolError(`the multipart body has more than ${this.#maxParts} parts`);
    this.#state = "headers";
  }

  *#readHeaders(chunk: Buffer, at: number): Generator<MultipartEvent, number, undefined> {
    const feed = chunk.indexOf(lineFeed, at);
    const next = feed < 0 ? chunk.length : feed + 1;
    this.#header.append(chunk.subarray(at, next));
    if (feed < 0) return next;
    const line = this.#header.view(this.#headerLineStart);
    const isBlankLine = line.length === 1 || (line.length === 2 && line[0] === carriageReturn);
    if (!isBlankLine) {
      this.#headerLineStart = this.#header.length;
      return next;
    }
    const headers = parsePartHeaders(this.#header.view().subarray(0, this.#headerLineStart), this.#maxHeaders);
    this.#header.clear();
    this.#headerLineStart = 0;
    this.#isPartOpen = true;
    this.#state = "body";
    this.#matched = this.#delimiter.lineEnd.length;
    this.#virtual = this.#delimiter.lineEnd.length;
    yield { type: "part-begin", headers };
    return next;
  }
}

/** The search relies on a line end being nowhere but at the delimiter's start. */
function isBoundary(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < space || code === 0x7f || code > 0xff) return false;
  }
  return text.length > 0;
}

/** ICAP requests as events: bytes in, one event after the other out. What is encapsulated is data; ICAP's own framing is law. */

import { BoundedBuffer } from "../bounded-buffer.ts";
import { type ChunkLine, parseChunkLine } from "./chunk-line.ts";
import { type Composition, maxHeadBytes, parseEncapsulated } from "./encapsulated.ts";
import { badRequest, IcapFault } from "./fault.ts";
import { FieldLines, type IcapFields, parseRequestLine, previewOf, type RequestLine, soleValue } from "./request-head.ts";

export interface IcapRequest extends RequestLine {
  readonly fields: IcapFields;
}

export interface IcapMessage {
  /** The heads as they came, blank line included; null where there is none. Copies. */
  readonly requestHead: Buffer | null;
  readonly responseHead: Buffer | null;
  readonly hasBody: boolean;
  /** Bytes of the body that come before we are asked; null where all of it comes. */
  readonly preview: number | null;
}

export type IcapEvent =
  /** Its head could be read. What is wrong from here on is wrong with this request. */
  | { readonly type: "request"; readonly request: IcapRequest }
  | { readonly type: "message"; readonly message: IcapMessage }
  /** A view of the bytes that were fed: valid until the next call. Never empty. */
  | { readonly type: "data"; readonly bytes: Uint8Array }
  /** The preview is over, the body is not: `proceed` or `restart`. */
  | { readonly type: "preview-end" }
  /** The message is whole: `restart`. The trailer lines are as they came, each with its CRLF. */
  | { readonly type: "end"; readonly trailers: Buffer; readonly isInPreview: boolean };

type State =
  | "request-line"
  | "fields"
  | "composition"
  | "request-head"
  | "response-head"
  | "chunk-line"
  | "chunk-data"
  | "chunk-end"
  | "trailers"
  | "bodyless"
  | "preview-end"
  | "end";

const maxRequestLineBytes = 8 * 1024;
const maxFieldBytes = 16 * 1024;
const maxChunkLineBytes = 1024;
const maxExtensionBytes = 16 * 1024;
const maxTrailerBytes = 8 * 1024;
const maxOptionsBodyBytes = 64 * 1024;
/** Before a request line: some clients send one line end too many. */
const maxEmptyLines = 8;

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const lineEnd = Buffer.from("\r\n");
const headEnd = Buffer.from("\r\n\r\n");
const none = Buffer.alloc(0);
/** Before there is one. */
const noLine: RequestLine = { method: "OPTIONS", service: "" };
const noComposition: Composition = { requestHeadBytes: null, responseHeadBytes: null, hasBody: false };

/** Call `next` until it answers null, then `receive` more. After an IcapFault each call of `next` throws it again. */
export class IcapReader {
  #state: State = "request-line";
  #fault: IcapFault | null = null;
  #chunk: Buffer = none;
  #at = 0;
  /** Of the present request. */
  #position = 0;
  /** A line or a head that has not come whole. */
  readonly #held = new BoundedBuffer(maxHeadBytes, "an encapsulated head");
  #emptyLines = 0;
  #line = noLine;
  #lines = new FieldLines();
  /** Of the head's or the trailers' lines so far. */
  #lineBytes = 0;
  #composition = noComposition;
  #requestHead: Buffer | null = null;
  #preview: number | null = null;
  #isInPreview = false;
  #isEndOfFile = false;
  #chunkLeft = 0;
  #bodyBytes = 0;
  #extensionBytes = 0;
  #trailerLines = new FieldLines();
  #trailers: Buffer[] = [];

  /** Bytes that were fed and not yet read. */
  get rest(): Uint8Array {
    return this.#chunk.subarray(this.#at);
  }

  /** Whether a request has begun that is not whole: empty lines are none. */
  get isWithinRequest(): boolean {
    return this.#state !== "request-line" || this.#held.length > 0;
  }

  /** Takes more bytes, and keeps a view of them. */
  receive(bytes: Uint8Array): void {
    const more = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.rest, more]) : more;
    this.#at = 0;
  }

  /** The next event; null when more bytes are needed. Throws IcapFault, with the place. */
  next(): IcapEvent | null {
    if (this.#fault !== null) throw this.#fault;
    try {
      return this.#next();
    } catch (error) {
      if (!(error instanceof IcapFault)) throw error;
      this.#fault = new IcapFault(error.status, `${error.message} (byte ${this.#position} of the request)`);
      throw this.#fault;
    }
  }

  /** After `preview-end`: the rest of the body follows. */
  proceed(): void {
    this.#isInPreview = false;
    this.#state = "chunk-line";
  }

  /** After `preview-end` or `end`: what follows is another request. */
  restart(): void {
    this.#state = "request-line";
    this.#position = 0;
    this.#emptyLines = 0;
    this.#requestHead = null;
    this.#trailers = [];
  }

  #next(): IcapEvent | null {
    for (;;) {
      switch (this.#state) {
        case "request-line": {
          const line = this.#takeLine(maxRequestLineBytes, "the request line");
          if (line === null) return null;
          if (line.length > 0) this.#begin(line);
          else this.#skipEmptyLine();
          break;
        }
        case "fields": {
          const line = this.#takeLine(maxFieldBytes - this.#lineBytes, "the head");
          if (line === null) return null;
          if (line.length > 0) {
            this.#addField(line);
            break;
          }
          this.#state = "composition";
          return { type: "request", request: { ...this.#line, fields: this.#lines.fields } };
        }
        case "composition":
          this.#preview = previewOf(this.#lines.fields);
          this.#composition = parseEncapsulated(this.#line.method, soleValue(this.#lines.fields, "encapsulated"));
          this.#state = "request-head";
          break;
        case "request-head": {
          const bytes = this.#composition.requestHeadBytes;
          const head = bytes === null ? null : this.#takeHead(bytes);
          if (bytes !== null && head === null) return null;
          this.#requestHead = head;
          this.#state = "response-head";
          break;
        }
        case "response-head": {
          const bytes = this.#composition.responseHeadBytes;
          const head = bytes === null ? null : this.#takeHead(bytes);
          if (bytes !== null && head === null) return null;
          return this.#beginBody(head);
        }
        case "chunk-line": {
          const line = this.#takeLine(maxChunkLineBytes, "a chunk's line");
          if (line === null) return null;
          this.#beginChunk(parseChunkLine(line));
          break;
        }
        case "chunk-data": {
          const bytes = this.#takeData();
          return bytes === null ? null : { type: "data", bytes };
        }
        case "chunk-end": {
          if (this.#takeLine(0, "what stands behind a chunk's data") === null) return null;
          this.#state = "chunk-line";
          break;
        }
        case "trailers": {
          const line = this.#takeLine(maxTrailerBytes - this.#lineBytes, "the trailers");
          if (line === null) return null;
          if (line.length > 0) this.#addTrailer(line);
          else return this.#endBody();
          break;
        }
        case "bodyless":
          this.#state = "end";
          return { type: "end", trailers: none, isInPreview: this.#preview !== null };
        case "preview-end":
        case "end":
          return null;
      }
    }
  }

  #skipEmptyLine(): void {
    this.#emptyLines += 1;
    if (this.#emptyLines > maxEmptyLines) throw badRequest(`more than ${maxEmptyLines} empty lines stand before the request`);
  }

  #begin(line: Buffer): void {
    this.#line = parseRequestLine(line);
    this.#lines = new FieldLines();
    this.#lineBytes = 0;
    this.#state = "fields";
  }

  #addField(line: Buffer): void {
    this.#lineBytes += line.length + 2;
    this.#lines.add(line);
  }

  #beginBody(responseHead: Buffer | null): IcapEvent {
    const { hasBody } = this.#composition;
    this.#isInPreview = hasBody && this.#preview !== null;
    this.#isEndOfFile = false;
    this.#bodyBytes = 0;
    this.#extensionBytes = 0;
    this.#state = hasBody ? "chunk-line" : "bodyless";
    return { type: "message", message: { requestHead: this.#requestHead, responseHead, hasBody, preview: this.#preview } };
  }

  #beginChunk({ bytes, isEndOfFile, extensionBytes }: ChunkLine): void {
    this.#extensionBytes += extensionBytes;
    if (this.#extensionBytes > maxExtensionBytes)
      throw badRequest(`the chunks' extensions are longer than ${maxExtensionBytes} bytes in all`);
    this.#chunkLeft = bytes;
    this.#bodyBytes += bytes;
    if (this.#line.method === "OPTIONS" && this.#bodyBytes > maxOptionsBodyBytes)
      throw badRequest(`the body of OPTIONS is longer than ${maxOptionsBodyBytes} bytes`);
    if (bytes > 0) {
      this.#state = "chunk-data";
      return;
    }
    this.#isEndOfFile = isEndOfFile;
    this.#trailerLines = new FieldLines();
    this.#trailers = [];
    this.#lineBytes = 0;
    this.#state = "trailers";
  }

  #addTrailer(line: Buffer): void {
    this.#lineBytes += line.length + 2;
    this.#trailerLines.add(line);
    this.#trailers.push(Buffer.from(line), lineEnd);
  }

  #endBody(): IcapEvent {
    if (!this.#isInPreview || this.#isEndOfFile) {
      this.#state = "end";
      return { type: "end", trailers: Buffer.concat(this.#trailers), isInPreview: this.#isInPreview };
    }
    if (this.#trailers.length > 0) throw badRequest("trailers stand before the end of the body");
    this.#state = "preview-end";
    return { type: "preview-end" };
  }

  #takeData(): Buffer | null {
    const bytes = this.#chunk.subarray(this.#at, this.#at + this.#chunkLeft);
    if (bytes.length === 0) return null;
    this.#advance(bytes.length);
    this.#chunkLeft -= bytes.length;
    if (this.#chunkLeft === 0) this.#state = "chunk-end";
    return bytes;
  }

  /** A copy, whole: from one offset to the next (RFC 3507 §4.4.1). One that points into a head or a body is how requests are smuggled. */
  #takeHead(bytes: number): Buffer | null {
    const piece = this.#chunk.subarray(this.#at, this.#at + bytes - this.#held.length);
    const isWhole = piece.length === bytes;
    if (!isWhole) this.#held.append(piece);
    this.#advance(piece.length);
    if (!isWhole && this.#held.length < bytes) return null;
    const head = Buffer.from(isWhole ? piece : this.#held.view());
    this.#held.clear();
    if (head.indexOf(headEnd) !== head.length - headEnd.length)
      throw badRequest("Encapsulated has an offset that is not the end of a head");
    return head;
  }

  /** Without its CRLF; a view. Null where its end has not come. */
  #takeLine(maxBytes: number, what: string): Buffer | null {
    const end = this.#chunk.indexOf(lineFeed, this.#at);
    const piece = this.#chunk.subarray(this.#at, end < 0 ? this.#chunk.length : end + 1);
    const bytes = this.#held.length + piece.length - (end < 0 ? 1 : 2);
    if (bytes > maxBytes) throw badRequest(`${what} is longer than ${maxBytes} bytes`);
    this.#advance(piece.length);
    if (end < 0 || this.#held.length > 0) this.#held.append(piece);
    if (end < 0) return null;
    const line = this.#held.length > 0 ? Buffer.from(this.#held.view()) : piece;
    this.#held.clear();
    const text = line.subarray(0, -2);
    if (line.at(-2) !== carriageReturn || text.includes(carriageReturn)) throw badRequest("a line does not end in CRLF");
    return text;
  }

  #advance(bytes: number): void {
    this.#at += bytes;
    this.#position += bytes;
  }
}

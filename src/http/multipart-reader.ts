/** The parts of a multipart body, one after the other, each pulled from the body as far as its reader reads. */

import { Base64Decoder } from "../codec/base64.ts";
import { fileNameOf } from "../codec/content-disposition.ts";
import type { PartFields, PartHeaders, TransferCoding } from "../codec/multipart/headers.ts";
import { type MultipartEvent, type MultipartLimits, MultipartParser } from "../codec/multipart/parser.ts";
import { ProtocolError } from "../codec/protocol-error.ts";
import { QuotedPrintableDecoder } from "../codec/quoted-printable.ts";
import { ChunkSource, chunksOf } from "../core/chunk-source.ts";
import { ClamgateError } from "../core/errors.ts";
import type { Codings } from "../core/scan-layers.ts";
import type { SpooledBody } from "../core/spool.ts";

export interface PartLimits extends MultipartLimits {
  /** Of all parts' headers together, in UTF-16 units: what a reader who keeps names can be made to hold. Default 2 Mi. */
  readonly maxHeaderLength?: number;
}

/** 10,000 parts with names of a hundred characters. */
const defaultMaxHeaderLength = 2 * 1024 * 1024;

/** As `ChunkSource`, with parts in place of chunks. The body is never left: whoever made it does that. One reader at a time. */
export class MultipartReader {
  readonly #events: Events;
  readonly #maxHeaderLength: number;
  #headerLength = 0;

  /** Throws `malformed` for a boundary that is none. */
  constructor(body: AsyncIterable<Uint8Array>, boundary: string, limits: PartLimits = {}) {
    this.#events = new Events(chunksOf(body), parserOf(boundary, limits));
    this.#maxHeaderLength = limits.maxHeaderLength ?? defaultMaxHeaderLength;
  }

  /**
   * The next part; null at the end of the body; undefined while it has not come: then `ready`. An unread rest of the part before is
   * dropped. Throws `malformed` (cause: ProtocolError) where the body is not whole, well-formed multipart within its limits, or what
   * reading the body throws; in the part that it concerns and again here.
   */
  nextPart(): Part | null | undefined {
    this.#events.current = null;
    for (;;) {
      const event = this.#events.next();
      if (event === null || event === undefined) return event;
      // Else it is of the part that its reader has left unread, or the end.
      if (event.type === "part-begin") return this.#begin(event.headers);
    }
  }

  /** Resolves when there may be more of the body. Never rejects. */
  ready(): Promise<void> {
    return this.#events.ready();
  }

  /** True when nothing can be read behind this part: the body itself is at fault. */
  get isBroken(): boolean {
    return this.#events.isBroken;
  }

  #begin(headers: PartHeaders): Part {
    this.#headerLength += lengthOf(headers.fields);
    if (this.#headerLength > this.#maxHeaderLength) {
      throw this.#events.fail(new ProtocolError(`the parts' headers are longer than ${this.#maxHeaderLength} characters in all`));
    }
    const part = new Part(this.#events, headers);
    this.#events.current = part;
    return part;
  }
}

/**
 * As it came. Ends only when the part is whole; else throws what the reader throws. Once the next part has been asked for, reading
 * throws `internal`.
 */
export class Part extends ChunkSource {
  /** Fit to be shown; null where the part names no file. */
  readonly fileName: string | null;
  readonly headers: PartFields;
  /** What is still to be undone; null where nothing is. */
  readonly transferCoding: TransferCoding | null;
  readonly #events: Events;
  #isOver = false;
  #isLeft = false;
  #onFree: (() => void) | null = null;

  constructor(events: Events, { fields, transferCoding }: PartHeaders) {
    super();
    this.fileName = fileNameOf(fields.get("content-disposition"));
    this.headers = fields;
    this.transferCoding = transferCoding;
    this.#events = events;
  }

  /** How what is still to be undone is undone: some receivers do, and some do not. Throws `malformed` for what they would decode differently. */
  get codings(): Codings | null {
    const { transferCoding } = this;
    return transferCoding === null ? null : { decoders: [(body) => decode(body, transferCoding)], unknown: null };
  }

  take(): Uint8Array | null | undefined {
    if (this.#isOver) return null;
    if (this.#events.current !== this) throw fault("a part was read after the next one was asked for");
    const event = this.#nextEvent();
    if (event === undefined) return undefined;
    if (event?.type === "data") return event.bytes;
    if (event?.type !== "part-end") throw fault(`a part met ${event?.type ?? "the end"}`);
    this.#isOver = true;
    this.leave();
    return null;
  }

  ready(): Promise<void> {
    return this.#events.ready();
  }

  /** A scan that ends early takes nothing else of the request with it. */
  leave(): void {
    this.#isLeft = true;
    this.#onFree?.();
  }

  /** Whether it has been read to its end. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Null when its reader has read it to its end, or has left it; else what resolves then. */
  beingRead(): Promise<void> | null {
    if (this.#isLeft) return null;
    return new Promise((resolve) => {
      this.#onFree = resolve;
    });
  }

  /** Reads what is left and drops it; false when the budget ended first. */
  async drain(budget: DrainBudget): Promise<boolean> {
    for (let chunk = this.take(); chunk !== null; chunk = this.take()) {
      const isWithin = chunk === undefined ? await budget.wait(this.ready()) : budget.spend(chunk.length);
      if (!isWithin) return false;
    }
    return true;
  }

  #nextEvent(): MultipartEvent | null | undefined {
    try {
      return this.#events.next();
    } catch (thrown) {
      this.leave();
      throw thrown;
    }
  }
}

export interface DrainLimits {
  readonly maxBytes: number;
  readonly maxMs: number;
}

/** Shared by all parts of a request that are drained. The time runs from the first wait, whatever the client then sends. */
export class DrainBudget {
  readonly #limits: DrainLimits;
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #isExpired = false;
  #onExpired: (() => void) | null = null;

  constructor(limits: DrainLimits) {
    this.#limits = limits;
  }

  /** False when these bytes are more than may be dropped. */
  spend(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes <= this.#limits.maxBytes;
  }

  /** Waits; false when the time is over first. One call at a time; a race per chunk would keep every one of them. */
  wait(ready: Promise<void>): Promise<boolean> {
    this.#timer ??= setTimeout(() => {
      this.#isExpired = true;
      this.#onExpired?.();
    }, this.#limits.maxMs);
    return new Promise((resolve) => {
      this.#onExpired = () => resolve(false);
      void ready.then(() => resolve(true));
      if (this.#isExpired) resolve(false);
    });
  }

  /** Nothing is drained after that. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

/** The parser's events, pulled one at a time; null at the end of the body, undefined where its next chunk has not come. A fault stays. */
class Events {
  /** The part that is being read. */
  current: Part | null = null;
  readonly #chunks: ChunkSource;
  readonly #parser: MultipartParser;
  #events: Iterator<MultipartEvent, void> | null = null;
  #isAtEnd = false;
  #failure: unknown = null;

  constructor(chunks: ChunkSource, parser: MultipartParser) {
    this.#chunks = chunks;
    this.#parser = parser;
  }

  get isBroken(): boolean {
    return this.#failure !== null;
  }

  next(): MultipartEvent | null | undefined {
    if (this.#failure !== null) throw this.#failure;
    try {
      for (;;) {
        const event = this.#events?.next();
        if (event !== undefined && !event.done) return event.value;
        this.#events = null;
        if (this.#isAtEnd) return null;
        const chunk = this.#chunks.take();
        if (chunk === undefined) return undefined;
        this.#isAtEnd = chunk === null;
        this.#events = chunk === null ? this.#parser.finish() : this.#parser.feed(chunk);
      }
    } catch (thrown) {
      throw this.fail(thrown);
    }
  }

  ready(): Promise<void> {
    return this.#chunks.ready();
  }

  /** Makes the fault of one part's headers that of the whole body. */
  fail(thrown: unknown): unknown {
    this.#failure = thrown instanceof ProtocolError ? malformed(thrown) : thrown;
    return this.#failure;
  }
}

async function* decode(body: SpooledBody, coding: TransferCoding): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = coding === "base64" ? new Base64Decoder() : new QuotedPrintableDecoder();
  try {
    for await (const chunk of body.read()) yield decoder.feed(chunk);
    decoder.finish();
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    throw new ClamgateError("malformed", `Malformed part: ${thrown.message}`, { cause: thrown });
  }
}

function lengthOf(fields: PartFields): number {
  let length = 0;
  for (const [name, value] of fields) length += name.length + value.length;
  return length;
}

function parserOf(boundary: string, limits: MultipartLimits): MultipartParser {
  try {
    return new MultipartParser(boundary, limits);
  } catch (thrown) {
    throw thrown instanceof ProtocolError ? malformed(thrown) : thrown;
  }
}

function malformed(cause: ProtocolError): ClamgateError {
  return new ClamgateError("malformed", `Malformed multipart body: ${cause.message}`, { cause });
}

function fault(detail: string): ClamgateError {
  return new ClamgateError("internal", "Internal error", { detail });
}

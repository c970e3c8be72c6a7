/** The parts of a multipart body, one after the other, each pulled from the body as far as its reader reads. */

import { fileNameOf } from "../codec/content-disposition.ts";
import type { PartFields, TransferCoding } from "../codec/multipart/headers.ts";
import { type MultipartEvent, type MultipartLimits, MultipartParser } from "../codec/multipart/parser.ts";
import { ProtocolError } from "../codec/protocol-error.ts";
import { ClamgateError } from "../core/errors.ts";

export interface Part {
  /** Fit to be shown; null where the part names no file. */
  readonly fileName: string | null;
  readonly headers: PartFields;
  /** What is still to be undone in `body`; null where nothing is. */
  readonly transferCoding: TransferCoding | null;
  /**
   * As it came. Single use. Ends only when the part is whole; else throws what `readParts` throws. Once the next part has been asked
   * for, an unread rest is gone and reading it throws.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface PartLimits extends MultipartLimits {
  /** Of all parts' headers together, in UTF-16 units: what a reader who keeps names can be made to hold. Default 2 Mi. */
  readonly maxHeaderLength?: number;
}

/** 10,000 parts with names of a hundred characters. */
const defaultMaxHeaderLength = 2 * 1024 * 1024;

/**
 * Throws `malformed` (cause: ProtocolError) where the body is not whole, well-formed multipart within its limits, or what `body` threw;
 * in the part's body and again when the next part is asked for. The end of the generator is the end of `body`. `body` is never returned
 * or destroyed: whoever made it does that. One reader at a time.
 */
export async function* readParts(
  body: AsyncIterable<Uint8Array>,
  boundary: string,
  limits: PartLimits = {},
): AsyncGenerator<Part, void, undefined> {
  const events = new EventReader(body, boundary, limits);
  const { maxHeaderLength = defaultMaxHeaderLength } = limits;
  let headerLength = 0;
  // Counts the times that the reader has moved on.
  let turn = 0;
  try {
    for (let event = await events.next(); event !== null; event = await events.next()) {
      // Else it is of the part that its reader has left unread, or the end.
      if (event.type === "part-begin") {
        const { fields, transferCoding } = event.headers;
        headerLength += lengthOf(fields);
        if (headerLength > maxHeaderLength)
          throw events.fail(new ProtocolError(`the parts' headers are longer than ${maxHeaderLength} characters in all`));
        const mine = turn;
        yield {
          fileName: fileNameOf(fields.get("content-disposition")),
          headers: fields,
          transferCoding,
          body: partBytes(events, () => mine === turn),
        };
        turn += 1;
      }
    }
  } finally {
    turn += 1;
  }
}

function lengthOf(fields: PartFields): number {
  let length = 0;
  for (const [name, value] of fields) length += name.length + value.length;
  return length;
}

/** The reader's events, pulled one at a time; null at the end of the body. A fault stays. */
class EventReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #parser: MultipartParser;
  #events: Iterator<MultipartEvent, void> | null = null;
  #isAtEnd = false;
  #failure: unknown = null;

  constructor(body: AsyncIterable<Uint8Array>, boundary: string, limits: MultipartLimits) {
    this.#chunks = body[Symbol.asyncIterator]();
    this.#parser = parserOf(boundary, limits);
  }

  async next(): Promise<MultipartEvent | null> {
    if (this.#failure !== null) throw this.#failure;
    try {
      for (;;) {
        const event = this.#events?.next();
        if (event !== undefined && !event.done) return event.value;
        if (this.#isAtEnd) return null;
        const chunk = await this.#chunks.next();
        this.#isAtEnd = chunk.done === true;
        this.#events = chunk.done ? this.#parser.finish() : this.#parser.feed(chunk.value);
      }
    } catch (thrown) {
      throw this.fail(thrown);
    }
  }

  /** Makes the fault of one part's headers that of the whole body. */
  fail(thrown: unknown): unknown {
    this.#failure = thrown instanceof ProtocolError ? malformed(thrown) : thrown;
    return this.#failure;
  }
}

async function* partBytes(events: EventReader, isCurrent: () => boolean): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    if (!isCurrent())
      throw new ClamgateError("internal", "Internal error", { detail: "a part was read after the next one was asked for" });
    const event = await events.next();
    if (event?.type === "part-end") return;
    if (event?.type !== "data")
      throw new ClamgateError("internal", "Internal error", { detail: `a part met ${event?.type ?? "the end"}` });
    yield event.bytes;
  }
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

/** Reads the heads of an origin's answers as leniently as RFC 9112 allows, and hands them on in a form that nobody can read in another way. */

import type { Socket } from "node:net";
import { BoundedBuffer } from "../codec/bounded-buffer.ts";
import { trimBlanks } from "../core/blanks.ts";
import { type HeaderLines, isWritable, valuesOf } from "./header-lines.ts";
import { brokenAnswer, UpstreamError } from "./refusal.ts";

const protocol = Buffer.from("HTTP/");
const lineFeed = 10;
const carriageReturn = 13;

export class HeadReader {
  readonly #maxBytes: number;
  #held: BoundedBuffer;
  /** Where the search for the end of the head goes on. */
  #searched = 0;
  #interimBytes = 0;
  /** Whether what comes next belongs to a head. Otherwise it is for the parser as it is, wanted or not. */
  #isHead = false;

  /** @param maxBytes of the final head and all interim ones before it. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#held = this.#empty();
  }

  /** A request has been sent. */
  expect(): void {
    this.#isHead = true;
    this.#held = this.#empty();
    this.#interimBytes = 0;
  }

  /** Some of a head has come, and not all of it. */
  get isWithinHead(): boolean {
    return this.#isHead && this.#held.length > 0;
  }

  /** What of it, and of what is held, goes on to the parser: empty while a head is not whole. @throws ClamgateError `upstream-failed` */
  take(chunk: Buffer): Buffer {
    let rest = chunk;
    while (this.#isHead && rest.length > 0) {
      const held = this.#held.length;
      const room = this.#maxBytes - this.#interimBytes - held;
      this.#held.append(rest.subarray(0, room));
      const bytes = this.#held.view();
      checkIsHttp(bytes);
      const end = this.#endOfHead(bytes);
      if (end === null && rest.length > room) throw brokenAnswer("The head of the origin's answer is too large");
      if (end === null) return rest.subarray(rest.length);
      rest = rest.subarray(end - held);
      const { status, text } = plainHead(bytes.toString("latin1", 0, end));
      if (status === 101) throw brokenAnswer("The origin changes to a protocol that nobody asked for");
      if (status >= 200) return this.#pass(Buffer.from(text, "latin1"), rest);
      this.#interimBytes += end;
      this.#held = this.#empty();
    }
    return rest;
  }

  #pass(head: Buffer, rest: Buffer): Buffer {
    this.#isHead = false;
    this.#held = this.#empty();
    return Buffer.concat([head, rest]);
  }

  #empty(): BoundedBuffer {
    this.#searched = 0;
    return new BoundedBuffer(this.#maxBytes, "the head of an origin's answer");
  }

  /** Behind the first empty line; null where there is none yet. */
  #endOfHead(bytes: Buffer): number | null {
    for (let at = bytes.indexOf(lineFeed, this.#searched); at >= 0; at = bytes.indexOf(lineFeed, at + 1)) {
      this.#searched = at;
      if (bytes[at + 1] === lineFeed) return at + 2;
      if (bytes[at + 1] === carriageReturn && bytes[at + 2] === lineFeed) return at + 3;
      // The rest of the pair has not come.
      if (at + 2 >= bytes.length) return null;
    }
    this.#searched = bytes.length;
    return null;
  }
}

/** To be called before anybody reads: undici takes what comes by `read()`, and writes nothing but whole requests, one at a time. */
export function readHeads(socket: Socket, maxBytes: number): void {
  const reader = new HeadReader(maxBytes);
  socket.once("end", () => {
    if (reader.isWithinHead) socket.destroy(brokenOffHead());
  });
  const read = socket.read.bind(socket);
  const write: (...given: never[]) => boolean = socket.write.bind(socket);
  socket.write = (...given: unknown[]) => {
    reader.expect();
    return Reflect.apply(write, socket, given);
  };
  socket.read = (size?: number) => {
    // Node's own streams ask for nothing, to have more read: what came of it would be lost.
    if (size === 0) return read(0);
    for (;;) {
      const chunk: Buffer | null = read();
      if (chunk === null) return null;
      try {
        const passed = reader.take(chunk);
        if (passed.length > 0) return passed;
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)));
        return null;
      }
    }
  };
}

/** As good a reason to ask again as no answer at all. */
function brokenOffHead(): UpstreamError {
  return new UpstreamError("upstream-failed", "The origin's answer broke off in its head", { isTransient: true });
}

/** An empty line may be passed over before a request (RFC 9112 §2.2), not before an answer: it may be the end of another body than ours. */
function checkIsHttp(bytes: Buffer): void {
  const length = Math.min(bytes.length, protocol.length);
  if (bytes.subarray(0, length).equals(protocol.subarray(0, length))) return;
  const isEmptyLine = bytes[0] === lineFeed || bytes[0] === carriageReturn;
  throw brokenAnswer(isEmptyLine ? "The origin's answer begins with an empty line" : "The origin's answer is not HTTP");
}

export interface PlainHead {
  /** From 100. */
  readonly status: number;
  /** With the empty line that ends it. */
  readonly text: string;
}

/**
 * Taken as other clients take them: a bare LF (§2.2), a folded line (§5.2), space before a colon (§5.1), spaces around the status (§4), one
 * Content-Length said twice (§6.3). But a field that says where the body ends must stand on one line as it should: whoever has read it
 * before us on this connection may have read it in another way. All other bytes stay as they are.
 * @param head up to its empty line; bytes as Latin-1 characters.
 * @throws ClamgateError `upstream-failed`, which says what is wrong.
 */
export function plainHead(head: string): PlainHead {
  const [first = "", ...others] = head.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  const [, version = "", status = "", rest = ""] = /^HTTP\/(1\.[01])[ \t]+([1-9]\d\d)(|[ \t].*)$/.exec(first) ?? [];
  const reason = withoutSpaceBefore(rest);
  if (status === "" || /[\0\r]/.test(reason)) throw brokenAnswer("The origin's answer is not HTTP");
  const lines = withoutRepetition(fieldsOf(others));
  readFraming(lines.flat());
  const fields = lines.map(([name, value]) => `${name}:${value}`);
  return { status: Number(status), text: [`HTTP/${version} ${status} ${reason}`, ...fields, "", ""].join("\r\n") };
}

type Field = readonly [name: string, value: string];

const framing: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

function fieldsOf(lines: readonly string[]): readonly Field[] {
  const fields: (readonly [name: string, parts: string[]])[] = [];
  for (const line of lines) {
    if (line === "") break;
    if (/^[ \t]/.test(line)) {
      const [name, parts] = fields.at(-1) ?? [];
      if (name === undefined || parts === undefined) throw brokenAnswer("The origin's answer begins with a folded line");
      if (framing.has(name.toLowerCase())) throw brokenAnswer(unclearLength);
      parts.push(line);
    } else {
      const [name, value] = fieldOf(line);
      fields.push([name, [value]]);
    }
  }
  return fields.map(([name, parts]) => [name, parts.length === 1 ? parts.join("") : unfolded(parts)]);
}

function fieldOf(line: string): Field {
  const colon = line.indexOf(":");
  if (colon < 0) throw brokenAnswer("The origin's answer has a header without a colon");
  const written = line.slice(0, colon);
  const name = withoutSpaceBehind(written);
  if (/[ \t]/.test(name)) throw brokenAnswer("The origin's answer has a space in the name of a header");
  if (!isWritable(name, "")) throw brokenAnswer("The origin's answer has a header whose name is none");
  if (name !== written && framing.has(name.toLowerCase())) throw brokenAnswer(unclearLength);
  const value = line.slice(colon + 1);
  if (value.includes("\r")) throw brokenAnswer("The origin's answer has a bare CR in a header");
  if (!isWritable(name, value)) throw brokenAnswer("The origin's answer has control characters in a header");
  return [name, value];
}

const unclearLength = "The origin's answer has no clear length";

function unfolded(parts: readonly string[]): string {
  const text = parts.map(withoutSpaceBefore).map(withoutSpaceBehind);
  const line = ` ${text.join(" ")}`;
  if (!isWritable("x", line)) throw brokenAnswer("The origin's answer has control characters in a header");
  return line;
}

function withoutSpaceBefore(text: string): string {
  return text.replace(/^[ \t]+/, "");
}

/** Not by an expression that would look from each space on. */
function withoutSpaceBehind(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\t")) end -= 1;
  return text.slice(0, end);
}

/** RFC 9110 §8.6: several lengths that are one may be read as one. */
function withoutRepetition(fields: readonly Field[]): readonly Field[] {
  const lengths = new Set<string>();
  return fields.filter(([name, value]) => {
    if (name.toLowerCase() !== "content-length") return true;
    const length = trimBlanks(value);
    const isNew = !lengths.has(length);
    lengths.add(length);
    return isNew;
  });
}

export interface Framing {
  /** Bytes by `Content-Length`; of a HEAD or a 304 what a GET would have; null where none was said. */
  readonly declaredBytes: number | null;
}

/**
 * undici's parser refuses most of this too; here it is on record, and does not depend on the parser's leniency.
 * @throws ClamgateError `upstream-failed`
 */
export function readFraming(lines: HeaderLines): Framing {
  const codings = valuesOf(lines, "transfer-encoding");
  const lengths = valuesOf(lines, "content-length");
  if (codings.length > 0 && lengths.length > 0) throw brokenAnswer("The origin's answer has two lengths");
  // Any other coding would have to be undone before the body is the body.
  if (codings.length > 1 || codings.some((coding) => coding.toLowerCase() !== "chunked"))
    throw brokenAnswer("The origin's answer has a transfer coding that is not understood");
  const [length] = lengths;
  if (length === undefined) return { declaredBytes: null };
  if (!/^\d{1,15}$/.test(length) || lengths.some((other) => other !== length))
    throw brokenAnswer("The origin's answer has no clear length");
  return { declaredBytes: Number(length) };
}

/** Parts that nobody asked for would be scanned and delivered as the whole (P27): no request of ours has a Range. */
export function checkIsWhole(status: number, lines: HeaderLines): void {
  const isParts = valuesOf(lines, "content-type").some((type) => /^multipart\/byteranges\b/i.test(type));
  if (status === 206 || isParts) throw brokenAnswer("The origin sent a part where the whole was asked for");
  if (status > 599) throw brokenAnswer("The origin's answer has no valid status");
}

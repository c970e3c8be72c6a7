/** Streams of a PDF whose filter clamd does not see, so that it looks at them packed (ISO 32000-1 §7.3.8): they are unpacked here. */

import { LimitReached } from "../core/look-inside.ts";
import type { Unscannable } from "../core/verdict.ts";
import type { BodyReader } from "./body-reader.ts";
import { finding } from "./finding.ts";
import { Unpacking } from "./unpacking.ts";

/** What stands before it is passed over, up to so far. */
export const pdfSearchBytes = 1024;
export const pdfMark = Buffer.from("%PDF-");
const object = Buffer.from("obj");
/** Of a dictionary that goes on behind the piece that it begins in: so much is read, then the next. */
const windows = [64 * 1024, 512 * 1024, 4 * 1024 * 1024];
/** Dictionaries that stand in each other are read once each. */
const freeBytes = 1024 * 1024;
const objectsPerBreath = 64;
const tokensPerBreath = 512;

/** Rejects with LimitReached. */
export async function inspectPdf(reader: BodyReader): Promise<Unscannable | null> {
  let left = freeBytes + 2 * reader.size;
  let objects = 0;
  let found: Unscannable | null = null;
  for await (const { at, bytes } of reader.pieces(object.length - 1)) {
    for (let index = bytes.indexOf(object); index !== -1; index = bytes.indexOf(object, index + 1)) {
      if (objects % objectsPerBreath === 0) await reader.breathe();
      objects += 1;
      const start = index + object.length;
      let read = await readStreamDictionary(reader, bytes.subarray(start));
      left -= read.length;
      for (const length of windows) {
        if (read.kind !== "unfinished" || at + start + read.length >= reader.size) break;
        read = await readStreamDictionary(reader, await reader.some(at + start, length));
        left -= read.length;
      }
      if (read.kind === "unfinished" && at + start + read.length < reader.size) throw new LimitReached("limit-size");
      if (left < 0) throw new LimitReached("limit-time");
      if (read.kind === "hidden" && !(await handOverStream(reader, read.filters, at + start + read.length)))
        found = finding("Pdf.Filter");
    }
  }
  return found;
}

/** Whether it was unpacked to its end. Its own length is not asked for: packed bytes tell where they end. */
async function handOverStream(reader: BodyReader, filters: readonly string[], wordEnd: number): Promise<boolean> {
  const [filter, ...others] = filters;
  if (others.length > 0 || (filter !== "FlateDecode" && filter !== "Fl")) return false;
  const lineEnd = (await reader.some(wordEnd, 2)).toString("latin1");
  const from = wordEnd + (lineEnd === "\r\n" ? 2 : 1);
  const unpacking = new Unpacking(reader, { packing: "zlib", from, to: reader.size });
  await reader.handOver({ isScanned: false, read: () => unpacking.read() });
  return unpacking.isWhole;
}

type Reading = {
  /** How many bytes were looked at. */
  readonly length: number;
} & (
  | { readonly kind: "plain" }
  /** The bytes end before the dictionary does. */
  | { readonly kind: "unfinished" }
  /** A stream's dictionary with a filter that clamd does not see; the stream begins behind the bytes that were looked at. */
  | {
      readonly kind: "hidden";
      /** None where another object has them. */
      readonly filters: readonly string[];
    }
);

/** Of what stands behind `obj`. */
async function readStreamDictionary(reader: BodyReader, bytes: Buffer): Promise<Reading> {
  const tokens = new Tokens(bytes);
  if (tokens.next() !== "<<") return { kind: tokens.isAtEnd ? "unfinished" : "plain", length: tokens.at };
  const start = tokens.at;
  let depth = 1;
  let arrays = 0;
  let isKeyNext = true;
  let hasFilter = false;
  let isFilter = false;
  let isIndirect = false;
  let filterEnd = 0;
  const filters: string[] = [];
  for (let count = 1; depth > 0; count += 1) {
    if (count % tokensPerBreath === 0) await reader.breathe();
    const token = tokens.next();
    if (token === null) return { kind: "unfinished", length: tokens.at };
    if (token === "<<") depth += 1;
    if (token === ">>") depth -= 1;
    if (depth === 0) break;
    if (token === "[") arrays += 1;
    if (token === "]" && arrays > 0) arrays -= 1;
    const isOutside = depth === 1 && arrays === 0;
    // A name behind a value is the next key: no value goes on with one.
    if (isOutside && token === "name" && isKeyNext) {
      isFilter = tokens.name() === "Filter";
      hasFilter ||= isFilter;
      isKeyNext = false;
    } else if (isFilter) {
      filterEnd = tokens.at;
      isIndirect ||= token === "number";
      if (token === "name") filters.push(tokens.name());
      isKeyNext = isOutside;
    } else isKeyNext = isOutside;
  }
  const end = tokens.at - 2;
  const behind = tokens.next();
  if (behind === null) return { kind: "unfinished", length: tokens.at };
  const isStream = behind === "word" && tokens.word() === "stream";
  const isHidden = isStream && hasFilter && (isIndirect || filterEnd > dictionaryEndByClamd(bytes, start, end));
  const length = tokens.at;
  return isHidden ? { kind: "hidden", filters: isIndirect ? [] : filters, length } : { kind: "plain", length };
}

/** Where clamd takes the dictionary to end: it does not know strings (libclamav 1.4 pdf.c:pdf_parseobj). -1 where it gives up. */
function dictionaryEndByClamd(bytes: Buffer, start: number, end: number): number {
  let at = start;
  for (let open = 1; ; ) {
    const close = bytes.indexOf(">", at, "latin1");
    if (close === -1 || close > end) return -1;
    if (bytes[close + 1] === 0x3e) {
      for (
        let next = bytes.indexOf("<", at - 1, "latin1");
        next !== -1 && next < close;
        next = bytes.indexOf("<", at - 1, "latin1")
      ) {
        if (bytes[next + 1] === 0x3c) open += 1;
        at = next + 2;
      }
      open -= 1;
      if (open === 0) return close;
    }
    at = close + 2;
  }
}

type Token = "<<" | ">>" | "[" | "]" | "name" | "number" | "string" | "word";

const white = new Set([0x00, 0x09, 0x0a, 0x0c, 0x0d, 0x20]);
const delimiters = new Set([...white, ...Buffer.from("()<>[]{}/%")]);

/** ISO 32000-1 §7.2. */
class Tokens {
  readonly #bytes: Buffer;
  #start = 0;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  /** Null where the bytes end before a token does. */
  next(): Token | null {
    this.#skip();
    this.#start = this.at;
    const byte = this.#bytes[this.at];
    this.at += 1;
    switch (byte) {
      case undefined:
        return null;
      case 0x3c: // <
        if (this.#bytes[this.at] !== 0x3c) return this.#to(0x3e) ? "string" : null;
        this.at += 1;
        return "<<";
      case 0x3e: // >
        if (this.#bytes[this.at] !== 0x3e) return this.at < this.#bytes.length ? "word" : null;
        this.at += 1;
        return ">>";
      case 0x5b:
        return "[";
      case 0x5d:
        return "]";
      case 0x28: // (
        return this.#string() ? "string" : null;
      case 0x29: // )
      case 0x7b: // {
      case 0x7d: // }
        return "word";
    }
    while (this.at < this.#bytes.length && !delimiters.has(this.#bytes[this.at] ?? 0)) this.at += 1;
    if (this.at >= this.#bytes.length) return null;
    if (byte === 0x2f) return "name";
    return (byte >= 0x30 && byte <= 0x39) || byte === 0x2b ? "number" : "word";
  }

  /** Of the last token, without its solidus: each byte may be written as `#` and its number. */
  name(): string {
    const written = this.#bytes.toString("latin1", this.#start + 1, this.at);
    return written.replace(/#([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  }

  word(): string {
    return this.#bytes.toString("latin1", this.#start, this.at);
  }

  #skip(): void {
    for (;;) {
      const byte = this.#bytes[this.at];
      if (byte === undefined) return;
      if (byte === 0x25) {
        while (this.at < this.#bytes.length && this.#bytes[this.at] !== 0x0a && this.#bytes[this.at] !== 0x0d) this.at += 1;
      } else if (white.has(byte)) this.at += 1;
      else return;
    }
  }

  #to(byte: number): boolean {
    const index = this.#bytes.indexOf(byte, this.at);
    this.at = index === -1 ? this.#bytes.length : index + 1;
    return index !== -1;
  }

  #string(): boolean {
    for (let depth = 1; depth > 0; this.at += 1) {
      const byte = this.#bytes[this.at];
      if (byte === undefined) return false;
      if (byte === 0x5c) this.at += 1;
      else if (byte === 0x28) depth += 1;
      else if (byte === 0x29) depth -= 1;
    }
    return this.at <= this.#bytes.length;
  }
}

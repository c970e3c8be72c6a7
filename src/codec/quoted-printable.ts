/** Quoted-printable bodies (RFC 2045 §6.7) decoded as they come, with the leniencies of Go's mime/quotedprintable and no others. */

import { BoundedBuffer } from "./bounded-buffer.ts";
import { ProtocolError } from "./protocol-error.ts";

/** RFC 2045 allows 76; encoders that do not care write whole documents in one line. */
const maxLineBytes = 65_536;

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const equals = 0x3d;

export class QuotedPrintableDecoder {
  readonly #line = new BoundedBuffer(maxLineBytes, "a quoted-printable line");

  /** What the lines that end in `chunk` decode to; may be empty. Throws ProtocolError. */
  feed(chunk: Uint8Array): Uint8Array {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // Decoding never makes a line longer.
    const decoded = Buffer.allocUnsafe(this.#line.length + bytes.length);
    let length = 0;
    let at = 0;
    for (let feed = bytes.indexOf(lineFeed); feed >= 0; feed = bytes.indexOf(lineFeed, at)) {
      this.#line.append(bytes.subarray(at, feed + 1));
      length = decodeLine(this.#line.view(), decoded, length);
      this.#line.clear();
      at = feed + 1;
    }
    this.#line.append(bytes.subarray(at));
    return decoded.subarray(0, length);
  }

  /** The last line, when it has no line end. */
  finish(): Uint8Array {
    const line = this.#line.view();
    const decoded = Buffer.allocUnsafe(line.length);
    const length = decodeLine(line, decoded, 0);
    this.#line.clear();
    return decoded.subarray(0, length);
  }
}

/** @param line with its line end, if it has one. Returns the new length of what is in `target`. */
function decodeLine(line: Buffer, target: Buffer, start: number): number {
  let end = line.length;
  while (end > 0 && isTrailing(line[end - 1])) end -= 1;
  const isSoftBreak = end > 0 && line[end - 1] === equals;
  if (isSoftBreak) {
    end -= 1;
    checkSoftBreak(line, end);
  }
  let length = start;
  for (let at = 0; at < end; at += 1) {
    const byte = line[at] ?? 0;
    const value = byte === equals ? hexByte(line, at + 1, end) : -1;
    if (value >= 0) {
      target[length] = value;
      at += 2;
    } else {
      target[length] = byte === equals ? literalEquals(line, at, end) : plainByte(byte);
    }
    length += 1;
  }
  if (isSoftBreak || line.at(-1) !== lineFeed) return length;
  if (line.at(-2) === carriageReturn) {
    target[length] = carriageReturn;
    length += 1;
  }
  target[length] = lineFeed;
  return length + 1;
}

/** Behind the `=` at `at`: blanks and one line end, or the end of a body that is not this `=` alone. */
function checkSoftBreak(line: Buffer, at: number): void {
  let from = at + 1;
  while (line[from] === space || line[from] === tab) from += 1;
  const rest = line.toString("latin1", from);
  if (rest === "\n" || rest === "\r\n" || (rest === "" && at > 0)) return;
  throw new ProtocolError("a quoted-printable soft line break is malformed");
}

/** -1 where there are no two hexadecimal digits before `end`. */
function hexByte(line: Buffer, at: number, end: number): number {
  if (at + 2 > end) return -1;
  const digits = line.toString("latin1", at, at + 2);
  return /^[0-9A-Fa-f]{2}$/.test(digits) ? Number.parseInt(digits, 16) : -1;
}

/** A `=` that encodes nothing stands for itself, except before a line end or a soft break. */
function literalEquals(line: Buffer, at: number, end: number): number {
  if (at + 1 < end && line[at + 1] !== carriageReturn) return equals;
  throw new ProtocolError("a quoted-printable escape is cut off");
}

function plainByte(byte: number): number {
  const isPlain = byte === tab || byte === carriageReturn || byte >= 0x80 || (byte >= space && byte <= 0x7e);
  if (!isPlain) throw new ProtocolError("a quoted-printable body contains a raw control character");
  return byte;
}

function isTrailing(byte: number | undefined): boolean {
  return byte === space || byte === tab || byte === carriageReturn || byte === lineFeed;
}

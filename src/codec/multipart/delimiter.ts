/** The bytes between two parts, and how to find them in a chunk without looking at any byte twice. */

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const dash = 0x2d;

export class MultipartDelimiter {
  /** Line end, "--", boundary, "--". */
  readonly closing: Buffer;
  /** The same without the last two dashes. */
  readonly bytes: Buffer;
  readonly lineEnd: "\n" | "\r\n";

  /** @param boundary one character per byte; no CR or LF, so that a delimiter's first byte occurs in it only once. */
  constructor(lineEnd: "\n" | "\r\n", boundary: string) {
    this.lineEnd = lineEnd;
    this.closing = Buffer.from(`${lineEnd}--${boundary}--`, "latin1");
    this.bytes = this.closing.subarray(0, -2);
  }

  /** How many bytes at `chunk[at]` go on with a delimiter of which `matched` bytes are behind them. */
  match(chunk: Buffer, at: number, matched: number): number {
    let length = 0;
    while (
      at + length < chunk.length &&
      matched + length < this.bytes.length &&
      chunk[at + length] === this.bytes[matched + length]
    ) {
      length += 1;
    }
    return length;
  }

  /** Passes over lookalikes that this chunk is enough to tell, so that a body full of them is not given out in crumbs. */
  indexIn(chunk: Buffer, from: number): number {
    let found = chunk.indexOf(this.bytes, from);
    while (found >= 0) {
      const after = found + this.bytes.length;
      if (!isText(chunk[after], chunk[after + 1])) return found;
      found = chunk.indexOf(this.bytes, after);
    }
    return found;
  }

  /** How many of the chunk's last bytes, from `from` on, begin a delimiter. */
  tailIn(chunk: Buffer, from: number): number {
    const last = chunk.subarray(Math.max(from, chunk.length - this.bytes.length + 1));
    const begin = last.lastIndexOf(this.lineEnd.charCodeAt(0));
    if (begin < 0) return 0;
    const tail = last.subarray(begin);
    return this.bytes.subarray(0, tail.length).equals(tail) ? tail.length : 0;
  }
}

export function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09;
}

/** Whether what follows a delimiter makes it text: undefined bytes are still to come. */
function isText(first: number | undefined, second: number | undefined): boolean {
  if (first === undefined) return false;
  if (first === dash) return second !== undefined && second !== dash;
  return !isBlank(first) && first !== carriageReturn && first !== lineFeed;
}

/** The delimiter between two parts, and the search for it in chunks that may be cut anywhere. */

export type LineEnd = "\n" | "\r\n";

/** What a part's bytes in a chunk are up to the delimiter, if it is there. Positions may lie before the chunk. */
export type Found =
  | { readonly kind: "text"; readonly text: readonly Buffer[] }
  /** @param end is behind the boundary. */
  | { readonly kind: "delimiter"; readonly text: readonly Buffer[]; readonly end: number }
  | { readonly kind: "ambiguous"; readonly message: string; readonly at: number };

const carriageReturn = 0x0d;
const nothing = Buffer.alloc(0);
const blankLine = Buffer.from("\r\n\r\n");

/**
 * One native search a chunk, whose cost does not grow with the boundary, and no byte of a part copied: what may begin a delimiter at a
 * chunk's end is kept as a number, since a delimiter's first byte is a line end's and occurs in it only once.
 */
export class DelimiterSearch {
  /** "--" and the boundary. */
  readonly #mark: Buffer;
  readonly #lineEnd: LineEnd;
  /** Line end and mark. */
  readonly #delimiter: Buffer;
  /** How many of the last bytes begin a delimiter and are not given out. */
  #held = 0;
  /** A copy of the part's last bytes: the mark may also stand across two chunks and be no delimiter. */
  #recent: Buffer = nothing;

  constructor(lineEnd: LineEnd, mark: Buffer) {
    this.#mark = mark;
    this.#lineEnd = lineEnd;
    this.#delimiter = Buffer.concat([Buffer.from(lineEnd), mark]);
  }

  /** A part begins: the line end of its headers is none of a delimiter. */
  begin(): void {
    this.#held = 0;
    this.#recent = nothing;
  }

  /** Reads `chunk` from `from` on, to its end or to the delimiter. The text is a view of it, or of a constant. */
  read(chunk: Buffer, from: number): Found {
    const more = this.#continued(chunk, from);
    if (this.#held + more === this.#delimiter.length) return this.#delimiterAt([], chunk, from, from + more);
    if (this.#held > 0 && from + more === chunk.length) {
      this.#held += more;
      this.#remember(chunk, from);
      return { kind: "text", text: [] };
    }
    const mark = chunk.indexOf(this.#mark, from);
    const across = this.#across(chunk, from, this.#mark.length).indexOf(this.#mark);
    const blank = this.#lineEnd === "\n" ? this.#blankLineIn(chunk.subarray(0, mark < 0 ? chunk.length : mark), from) : null;
    if (blank !== null) {
      // Django and Rack end the headers there, whatever the other lines end in.
      return { kind: "ambiguous", message: "a part holds CR LF CR LF in a form whose lines end in LF", at: blank };
    }
    if (across >= 0) return stray(from - this.#recent.length + across);
    const held = this.#held === 0 ? nothing : this.#delimiter.subarray(0, this.#held);
    if (mark >= 0) {
      const lineStart = mark - this.#lineEnd.length;
      if (lineStart < from || chunk.toString("latin1", lineStart, mark) !== this.#lineEnd) return stray(mark);
      return this.#delimiterAt([held, chunk.subarray(from, lineStart)], chunk, from, mark + this.#mark.length);
    }
    this.#held = this.#tail(chunk, from);
    this.#remember(chunk, from);
    return { kind: "text", text: [held, chunk.subarray(from, chunk.length - this.#held)] };
  }

  #delimiterAt(text: readonly Buffer[], chunk: Buffer, from: number, end: number): Found {
    const before = end - this.#delimiter.length - 1;
    const byte = before >= from ? chunk[before] : this.#recent.at(before - from);
    if (this.#lineEnd === "\n" && byte === carriageReturn) {
      return { kind: "ambiguous", message: "CR LF stands before the boundary in a form whose lines end in LF", at: before };
    }
    return { kind: "delimiter", text, end };
  }

  /** How many bytes at `chunk[from]` go on with the delimiter that is held. */
  #continued(chunk: Buffer, from: number): number {
    if (this.#held === 0) return 0;
    const length = Math.min(chunk.length - from, this.#delimiter.length - this.#held);
    let more = 0;
    while (more < length && chunk[from + more] === this.#delimiter[this.#held + more]) more += 1;
    return more;
  }

  #blankLineIn(text: Buffer, from: number): number | null {
    const across = this.#across(text, from, blankLine.length).indexOf(blankLine);
    if (across >= 0) return from - this.#recent.length + across;
    const within = text.indexOf(blankLine, from);
    return within < 0 ? null : within;
  }

  /** Where anything of that length would stand that begins before the chunk and ends in it. */
  #across(chunk: Buffer, from: number, length: number): Buffer {
    if (this.#recent.length === 0) return this.#recent;
    return Buffer.concat([this.#recent, chunk.subarray(from, from + length - 1)]);
  }

  /** How many of the chunk's last bytes, from `from` on, begin a delimiter. */
  #tail(chunk: Buffer, from: number): number {
    const last = chunk.subarray(Math.max(from, chunk.length - this.#delimiter.length + 1));
    const begin = last.lastIndexOf(this.#lineEnd.charCodeAt(0));
    if (begin < 0) return 0;
    const tail = last.subarray(begin);
    return this.#delimiter.subarray(0, tail.length).equals(tail) ? tail.length : 0;
  }

  /** As many bytes as a delimiter has, and the one before it. */
  #remember(chunk: Buffer, from: number): void {
    const length = this.#delimiter.length + 1;
    const fresh = chunk.subarray(Math.max(from, chunk.length - length));
    this.#recent = Buffer.concat([this.#recent, fresh]).subarray(-length);
  }
}

function stray(at: number): Found {
  return { kind: "ambiguous", message: "the boundary stands within a part", at };
}

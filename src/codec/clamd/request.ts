/** Commands as clamd's server reads them: bytes in, events out, without sockets or clocks (clamd-front.md 2). */

/** `z` ends at NUL, `n` at a line feed; `plain` is the old style, which has no mark at its beginning. */
export type CommandForm = "z" | "n" | "plain";

/** Of these `RELOAD` and what follows it are known, and refused. */
export const commandNames = [
  "PING",
  "VERSION",
  "VERSIONCOMMANDS",
  "STATS",
  "INSTREAM",
  "SCAN",
  "CONTSCAN",
  "MULTISCAN",
  "ALLMATCHSCAN",
  "FILDES",
  "IDSESSION",
  "END",
  "RELOAD",
  "SELFCHECK",
  "SHUTDOWN",
  "QUIT",
  "DETSTATS",
  "DETSTATSCLEAR",
] as const;

export type CommandName = (typeof commandNames)[number];

export interface ClamdCommand {
  readonly form: CommandForm;
  readonly name: CommandName;
  /** The bytes behind the blank, never none; null for a command without argument. */
  readonly path: Buffer | null;
}

export type RequestEvent =
  | { readonly kind: "command"; readonly command: ClamdCommand }
  /** Nothing that clamd knows, or too long. What follows is not to be read as commands. */
  | { readonly kind: "unknown"; readonly form: CommandForm; readonly text: Buffer }
  /**
   * Of the body behind INSTREAM: what has come of it since the last event, perhaps nothing, and how long it says it is by now. The bytes
   * are a part of the chunk that was pushed.
   */
  | { readonly kind: "data"; readonly bytes: Buffer; readonly announcedBytes: number }
  | { readonly kind: "body-end" };

/** PATH_MAX + 8 of clamd's command buffer. */
const maxCommandBytes = 4_104;
const maxShownBytes = 40;

const withPath: ReadonlySet<string> = new Set(["SCAN", "CONTSCAN", "MULTISCAN", "ALLMATCHSCAN"] satisfies CommandName[]);
const withoutPath: ReadonlySet<string> = new Set(commandNames.filter((name) => !withPath.has(name)));
/** Complete without a line end, since each is sent so by some client. */
const plainAtOnce: ReadonlySet<string> = new Set(["PING", "VERSION", "RELOAD", "QUIT", "SHUTDOWN"] satisfies CommandName[]);
const plainNames: ReadonlySet<string> = new Set([...plainAtOnce, "SCAN", "CONTSCAN", "MULTISCAN", "FILDES"]);

const nul = 0x00;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const letterN = 0x6e;
const letterZ = 0x7a;
const nothing = Buffer.alloc(0);

/** Push a chunk, then ask for events until there is none. */
export class RequestReader {
  #chunk: Buffer = nothing;
  #at = 0;
  /** What has come of a command that is not whole. */
  #partial: Buffer = nothing;
  #isPlainOver = false;
  #isInBody = false;
  /** Bytes of the present chunk of the body that have not come. */
  #left = 0;
  #header = 0;
  #headerBytes = 0;
  #announcedBytes = 0;
  #isEndRead = false;

  /** True between INSTREAM and the end of its body. */
  get isInBody(): boolean {
    return this.#isInBody;
  }

  /** True while a command has begun and is not whole. */
  get isInCommand(): boolean {
    return this.#partial.length > 0;
  }

  /** True while an old-style command may be whole or may go on: `endPlain` decides. */
  get isInPlain(): boolean {
    return this.#partial.length > 0 && formOf(this.#partial) === "plain";
  }

  /** @param chunk is the reader's from now on, and written to. */
  push(chunk: Buffer): void {
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk;
    this.#at = 0;
  }

  /** What has come of an old-style command is all of it. */
  endPlain(): void {
    this.#isPlainOver = true;
  }

  /** The next event of what was pushed; null when more must come first. */
  next(): RequestEvent | null {
    return this.#isInBody ? this.#nextOfBody() : this.#nextCommand();
  }

  #nextCommand(): RequestEvent | null {
    if (this.#partial.length === 0 && this.#at === this.#chunk.length) return null;
    const before = this.#partial.length;
    const form = formOf(before > 0 ? this.#partial : this.#chunk.subarray(this.#at));
    // The first byte is the mark, which may be the line end of a plain command.
    const end = this.#chunk.indexOf(form === "z" ? nul : lineFeed, this.#at);
    const length = before + (end === -1 ? this.#chunk.length : end) - this.#at;
    const bytes = this.#take(end === -1 ? this.#chunk.length : end);
    if (length > maxCommandBytes) return this.#unknown(form, bytes);
    if (end !== -1) {
      this.#at += 1;
      return this.#command(form, bytes);
    }
    if (form === "plain" && (this.#isPlainOver || plainAtOnce.has(bytes.toString("latin1")))) return this.#command(form, bytes);
    // Copied: a part of a chunk would hold all of it.
    this.#partial = before > 0 ? bytes : Buffer.from(bytes);
    return null;
  }

  /** All of the command up to there. */
  #take(end: number): Buffer {
    const more = this.#chunk.subarray(this.#at, end);
    const bytes = this.#partial.length === 0 ? more : Buffer.concat([this.#partial, more]);
    this.#partial = nothing;
    this.#at = end;
    return bytes;
  }

  #command(form: CommandForm, bytes: Buffer): RequestEvent {
    this.#isPlainOver = false;
    const text = bytes.toString("latin1", form === "plain" ? 0 : 1, form === "z" ? bytes.length : withoutLineEnd(bytes));
    const blank = text.indexOf(" ");
    const name = blank === -1 ? text : text.slice(0, blank);
    const isKnown = blank === -1 ? withoutPath.has(name) : withPath.has(name) && text.length > blank + 1;
    if (!isKnown || (form === "plain" && !plainNames.has(name))) return this.#unknown(form, bytes);
    if (name === "INSTREAM") this.#beginBody();
    // It is one of the two sets.
    return {
      kind: "command",
      command: { form, name: name as CommandName, path: blank === -1 ? null : Buffer.from(text.slice(blank + 1), "latin1") },
    };
  }

  #unknown(form: CommandForm, bytes: Buffer): RequestEvent {
    return { kind: "unknown", form, text: Buffer.from(bytes.subarray(0, maxShownBytes)) };
  }

  #beginBody(): void {
    this.#isInBody = true;
    this.#left = 0;
    this.#header = 0;
    this.#headerBytes = 0;
    this.#announcedBytes = 0;
    this.#isEndRead = false;
  }

  /**
   * All that the chunk has of the body at once: the data of one length after another is moved together, over the lengths between them.
   * Clients send pieces of 1 KiB, and some of a byte; each would be a trip through the spool.
   */
  #nextOfBody(): RequestEvent | null {
    const chunk = this.#chunk;
    const announcedBefore = this.#announcedBytes;
    let at = this.#at;
    let start = -1;
    let end = -1;
    while (at < chunk.length && !this.#isEndRead) {
      if (this.#left === 0) {
        this.#readHeader(chunk[at] ?? 0);
        at += 1;
        continue;
      }
      const length = Math.min(this.#left, chunk.length - at);
      if (start === -1) {
        start = at;
        end = at;
      } else chunk.copyWithin(end, at, at + length);
      end += length;
      at += length;
      this.#left -= length;
    }
    this.#at = at;
    if (start !== -1 || this.#announcedBytes > announcedBefore) {
      const bytes = start === -1 ? nothing : chunk.subarray(start, end);
      return { kind: "data", bytes, announcedBytes: this.#announcedBytes };
    }
    if (!this.#isEndRead) return null;
    this.#isInBody = false;
    return { kind: "body-end" };
  }

  #readHeader(byte: number): void {
    this.#header = this.#header * 256 + byte;
    this.#headerBytes += 1;
    if (this.#headerBytes < 4) return;
    this.#left = this.#header;
    this.#announcedBytes += this.#header;
    this.#isEndRead = this.#header === 0;
    this.#header = 0;
    this.#headerBytes = 0;
  }
}

/** Of a command's first byte, which is there. */
function formOf(bytes: Buffer): CommandForm {
  if (bytes[0] === letterZ) return "z";
  return bytes[0] === letterN ? "n" : "plain";
}

/** Where the line ends without its last CR and LF. */
function withoutLineEnd(bytes: Buffer): number {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === carriageReturn || bytes[end - 1] === lineFeed)) end -= 1;
  return end;
}

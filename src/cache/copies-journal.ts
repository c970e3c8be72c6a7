/**
 * Given copies in files that are only added to, a line for each copy, so that a restart forgets none of them. Gateways may share them:
 * each adds its line first and reads what there is after, so of two that give at the same time one at least sees the other's.
 */

import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { messageOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import { type Copy, type GivenCopies, givenAgainSeconds, type KnownCopies } from "../core/given-copies.ts";
import type { CacheHealth } from "../core/verdict-cache.ts";
import { lineOf, lost } from "./given-record.ts";
import { CopiesMemory } from "./memory-copies.ts";

export interface CopiesJournalOptions {
  /** Its files are `<path>.1` and on. What is at the path itself is an older release's, and stays as it is. */
  readonly path: string;
  /** Addresses, all of them in memory; as `CopiesMemory`. */
  readonly maxEntries: number;
  readonly emit: Emit;
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

/** One of the files. */
interface Part {
  readonly number: number;
  readonly descriptor: number;
  /** Where the first line begins that has not been read to its end. */
  position: number;
}

/** A copy of an address; `*` for copies that nobody knows, given until then. */
const linePattern = /^(\d{1,12}) (?:\*|([0-9a-f]{64}) (\*|(?:-|[0-9a-f]{64})(?: [0-9a-f]{16})*))$/;
const lineBytes = 160;
/** A copy with more validators than this has room for is one that nobody knows. */
const maxLineLength = 4096;
/** More than gateways write in the second in which one of them may not have seen that another file was begun. */
const minPartBytes = 4_194_304;
/** The oldest goes when there are more. */
const maxParts = 3;
const readBytes = 65_536;

export function copiesJournal(options: CopiesJournalOptions): GivenCopies {
  return new CopiesJournal(options);
}

class CopiesJournal implements GivenCopies {
  readonly #options: CopiesJournalOptions;
  readonly #path: string;
  readonly #maxPartBytes: number;
  readonly #memory: CopiesMemory;
  readonly #buffer = Buffer.allocUnsafe(readBytes);
  /** Oldest first; lines are added to the last. None while there can be none. */
  #parts: Part[] = [];
  /** The second in which all was read last, or tried in vain. */
  #triedAt = Number.NEGATIVE_INFINITY;
  #isBroken = false;
  /** Copies were given that are not in the files. */
  #isDoubtful = false;
  /** What is in the last part is not all ours: it is added to another one. */
  #isGarbled = false;
  /** The first part is not the first that there was. */
  #isHeadless = false;
  #isClosed = false;

  constructor(options: CopiesJournalOptions) {
    this.#options = options;
    this.#path = resolve(options.path);
    this.#maxPartBytes = Math.max(minPartBytes, options.maxEntries * lineBytes);
    this.#memory = new CopiesMemory(options.maxEntries);
    const at = this.#now();
    this.#attempt("open", at, () => this.#catchUp(at));
  }

  give(address: string, copy: Copy, isWhole = false): KnownCopies | null {
    const whole = lineOf(copy);
    const line = whole.length > maxLineLength ? lost : whole;
    const at = this.#now();
    if (this.#isClosed || (isWhole && this.#memory.isFresh(address, line, at))) return null;
    const isWritten =
      (at === this.#triedAt || this.#attempt("get", at, () => this.#catchUp(at))) &&
      this.#attempt("set", at, () => this.#append(`${address} ${line}`, at));
    // One that could not be written is to be written the next time.
    this.#memory.add(address, line, isWritten ? at : at - givenAgainSeconds);
    if (isWhole || !isWritten) return null;
    return this.#attempt("get", at, () => this.#read(at)) ? this.#memory.known(address, at) : null;
  }

  health(): CacheHealth {
    return this.#isBroken ? "degraded" : "ok";
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closeParts();
  }

  #now(): number {
    return Math.floor(this.#options.now() / 1000);
  }

  /** Whether it could be done. What could not is tried again a second later. */
  #attempt(operation: "open" | "get" | "set", at: number, act: () => void): boolean {
    if (this.#isBroken && at === this.#triedAt) return false;
    try {
      act();
      this.#isBroken = false;
      return true;
    } catch (thrown) {
      this.#triedAt = at;
      this.#isBroken = true;
      this.#isDoubtful ||= operation !== "open";
      if (operation !== "set") this.#closeParts();
      this.#fail(operation, messageOf(thrown));
      return false;
    }
  }

  #fail(operation: "open" | "get" | "set", detail: string): void {
    this.#options.emit({ kind: "cache-failed", operation, detail: `given copies: ${detail}` });
  }

  /** Once a second, before anything is added: what others wrote, and what has become of the files. */
  #catchUp(at: number): void {
    if (this.#parts.length === 0) this.#open(at);
    this.#read(at);
    const last = this.#last();
    const { nlink, size } = fstatSync(last.descriptor);
    if (nlink === 0 || size < last.position) throw new Error("a file was cut or taken away");
    if (this.#isGarbled || last.position >= this.#maxPartBytes) this.#begin(last.number + 1);
    this.#isGarbled = false;
    for (const { number, descriptor } of this.#parts.splice(0, this.#parts.length - maxParts)) {
      closeSync(descriptor);
      rmSync(`${this.#path}.${number}`, { force: true });
    }
    this.#triedAt = at;
  }

  #open(at: number): void {
    const directory = dirname(this.#path);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (existsSync(this.#path)) this.#memory.forget(lastWrite(statSync(this.#path), at));
    const prefix = `${basename(this.#path)}.`;
    const names = readdirSync(directory).filter((name) => name.startsWith(prefix));
    const numbers = names
      .map((name) => Number(name.slice(prefix.length)))
      .filter((number) => Number.isSafeInteger(number) && number > 0);
    const [first = 1, ...others] = numbers.toSorted((one, other) => one - other);
    this.#isHeadless = first > 1;
    for (const number of [first, ...others]) this.#begin(number);
  }

  #begin(number: number): void {
    const descriptor = openSync(`${this.#path}.${number}`, "a+", 0o600);
    this.#parts.push({ number, descriptor, position: 0 });
  }

  #last(): Part {
    const last = this.#parts.at(-1);
    if (last === undefined) throw new Error("there is no file");
    return last;
  }

  /** All that was added since the last time, by whomever. */
  #read(at: number): void {
    // Grows while it is gone through.
    for (const part of this.#parts) {
      for (let bytes = readBytes; bytes === readBytes; ) {
        bytes = readSync(part.descriptor, this.#buffer, 0, readBytes, part.position);
        let begin = 0;
        for (let end = this.#buffer.indexOf("\n"); end !== -1 && end < bytes; end = this.#buffer.indexOf("\n", begin)) {
          // Each a string of its own: a part of a larger one would keep all of that in memory.
          if (end > begin) this.#recall(this.#buffer.toString("latin1", begin, end), part, at);
          begin = end + 1;
        }
        // No line is that long.
        if (begin === 0 && bytes === readBytes) {
          this.#recall("", part, at);
          begin = bytes;
        }
        part.position += begin;
      }
      if (part === this.#last() && existsSync(`${this.#path}.${part.number + 1}`)) this.#begin(part.number + 1);
    }
  }

  #recall(line: string, part: Part, at: number): void {
    const [found, time, address, copy] = linePattern.exec(line) ?? [];
    if (found === undefined) {
      // Whatever it was, it was given before that.
      this.#memory.forget(lastWrite(fstatSync(part.descriptor), at));
      this.#isGarbled ||= part === this.#last();
      this.#fail("get", "a line holds nothing that belongs there");
      return;
    }
    if (this.#isHeadless) this.#memory.forget(Number(time));
    this.#isHeadless = false;
    if (address === undefined || copy === undefined) this.#memory.forget(Number(time));
    else this.#memory.add(address, copy, Number(time));
  }

  /** With a line's end before it, too: what somebody has written in part is no beginning of ours. */
  #append(line: string, at: number): void {
    const text = `${this.#isDoubtful ? `\n${at} *` : ""}\n${at} ${line}\n`;
    if (writeSync(this.#last().descriptor, text) !== text.length) throw new Error("a line was written in part");
    this.#isDoubtful = false;
  }

  #closeParts(): void {
    for (const { descriptor } of this.#parts.splice(0)) closeSync(descriptor);
  }
}

/** In seconds; a time to come is taken for now. */
function lastWrite({ mtimeMs }: Stats, at: number): number {
  return Math.min(at, Math.floor(mtimeMs / 1000));
}

/** Which digests surely have no row in a file: most bodies are new, and to ask the file for each takes eight system calls. */

import type { Clock } from "../../core/clock.ts";
import type { Timers } from "../timers.ts";
import type { RowKey, VerdictFile } from "./verdict-file.ts";

export interface KnownDigestsOptions {
  readonly file: VerdictFile;
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Rows read in one step: about a millisecond. */
const rowsPerStep = 500;
const stepMs = 10;
/** What another process writes is missed no longer than this. */
const checkMs = 25;
/** Without a filter for so long after another process wrote. */
const quietMs = 60_000;
/** 4 MB for a file of a million rows; 128 KB at least. */
const minDigests = 25_000;

/**
 * Filled from the file in the background; until then, and while other processes write the file, any digest may have a row.
 * A row that is missed all the same costs one scan.
 */
export class KnownDigests {
  readonly #options: KnownDigestsOptions;
  #filter: DigestFilter | null = null;
  #filling: DigestFilter | null = null;
  #cancelStep: (() => void) | null = null;
  #checkAtMs = Number.NEGATIVE_INFINITY;
  #fillAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: KnownDigestsOptions) {
    this.#options = options;
    this.#fill();
  }

  mayHave(sha256: string): boolean {
    const nowMs = this.#options.clock();
    if (nowMs >= this.#checkAtMs) {
      this.#checkAtMs = nowMs + checkMs;
      if (this.#options.file.isChangedByOthers()) this.#forget();
    }
    if (this.#filter === null && this.#filling === null && nowMs >= this.#fillAtMs) this.#fill();
    return this.#filter?.mayHave(sha256) ?? true;
  }

  /** Before its row is written. */
  add(sha256: string): void {
    // Rows go, their bits stay. Begun before the digest is added, which the file does not have yet.
    if (this.#filter?.isFull === true && this.#filling === null) this.#fill();
    this.#filter?.add(sha256);
    this.#filling?.add(sha256);
  }

  close(): void {
    this.#cancelStep?.();
    this.#filter = null;
    this.#filling = null;
  }

  #forget(): void {
    this.close();
    this.#fillAtMs = this.#options.clock() + quietMs;
  }

  /** Begins with what the file has now; the one in use stays until the new one has it all. */
  #fill(): void {
    this.#filling = new DigestFilter(2 * Math.max(this.#options.file.count, minDigests));
    this.#step(this.#filling, null);
  }

  #step(filling: DigestFilter, after: RowKey | null): void {
    try {
      const keys = this.#options.file.keysAfter(after, rowsPerStep);
      for (const [, sha256] of keys) filling.add(Buffer.from(sha256).toString("hex"));
      const last = keys.at(-1);
      if (last !== undefined && keys.length === rowsPerStep) {
        this.#cancelStep = this.#options.timers.after(stepMs, () => this.#step(filling, last));
        return;
      }
      this.#filter = filling;
      this.#filling = null;
    } catch {
      // Whoever asks the file next meets the same fault, and tells it.
      this.#forget();
    }
  }
}

const bitsPerDigest = 12;
/** Of 12 bits a digest 0.4 % say "may have" of what is not there; half full 0.01 %. */
const bitsSet = 6;

/** A Bloom filter. Digests are even by themselves: their last bytes are the hashes. */
class DigestFilter {
  readonly #bits: Uint32Array;
  readonly #mask: number;
  #left: number;

  constructor(maxDigests: number) {
    const bits = 2 ** Math.ceil(Math.log2(maxDigests * bitsPerDigest));
    this.#bits = new Uint32Array(bits / 32);
    this.#mask = bits - 1;
    this.#left = Math.floor(bits / bitsPerDigest);
  }

  get isFull(): boolean {
    return this.#left <= 0;
  }

  add(sha256: string): void {
    this.#left -= 1;
    let [at, step] = hashesOf(sha256);
    for (let index = 0; index < bitsSet; index += 1, at = (at + step) >>> 0) {
      const bit = at & this.#mask;
      this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] ?? 0) | (1 << (bit & 31));
    }
  }

  mayHave(sha256: string): boolean {
    let [at, step] = hashesOf(sha256);
    for (let index = 0; index < bitsSet; index += 1, at = (at + step) >>> 0) {
      const bit = at & this.#mask;
      if (((this.#bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false;
    }
    return true;
  }
}

function hashesOf(sha256: string): [at: number, step: number] {
  return [Number.parseInt(sha256.slice(-8), 16), Number.parseInt(sha256.slice(-16, -8), 16) | 1];
}

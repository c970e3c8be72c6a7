/** The files of one multipart upload: spooled one after another, scanned a few at a time, answered in order. */

import type { TransferCoding } from "../../codec/multipart/headers.ts";
import { type ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import { type Finding, type LayersOptions, scanLayers } from "../../core/scan-layers.ts";
import { partCodings } from "../../http/part-codings.ts";

/** What the upload needs of a part. */
export interface FilePart {
  /** Null where the part has no file name: it is answered, not scanned. */
  readonly fileName: string | null;
  /** What some receivers undo, and others do not. */
  readonly transferCoding: TransferCoding | null;
  readonly body: AsyncIterable<Uint8Array>;
}

export type PartOutcome =
  | { readonly kind: "nameless" }
  /** @param fileName is empty where the request broke between two files. */
  | { readonly kind: "judged"; readonly fileName: string; readonly judgement: Judgement };

export interface UploadOptions {
  readonly scan: Scan;
  readonly requestId: string;
  /** As `ScanOptions.client`. */
  readonly client: string;
  readonly signal: AbortSignal;
  /** Content-Length, if there is one: what the first file may be as large as, most forms having only one. */
  readonly declaredBytes: number | null;
  /** Scans whose part has been read and whose verdict is still out; the next part waits for one of them. */
  readonly maxUnfinished: number;
  /** For parts that are read no further: too large, or without room in the spool. */
  readonly skip: SkipLimits;
}

/**
 * Never rejects: a request that breaks ends the list with the error. Where the skipping of a part takes too long the list ends with
 * that part, whose outcome is an error then.
 */
export async function scanUpload(parts: AsyncIterator<FilePart>, options: UploadOptions): Promise<readonly PartOutcome[]> {
  const outcomes: Promise<PartOutcome>[] = [];
  const unfinished = new Set<Promise<unknown>>();
  const budget = new SkipBudget(options.skip);
  try {
    for (;;) {
      const next = await parts.next();
      if (next.done) break;
      const { fileName, transferCoding, body } = next.value;
      if (fileName === null) {
        outcomes.push(Promise.resolve({ kind: "nameless" }));
        continue;
      }
      if (unfinished.size >= options.maxUnfinished) await Promise.race(unfinished);
      const source = new PartSource(body);
      const { scan, requestId, client, signal } = options;
      const isFirst = outcomes.length === 0;
      const expected = isFirst && options.declaredBytes !== null ? { expectedBytes: options.declaredBytes } : {};
      const judgement = judge(scan, source, {
        requestId,
        name: fileName,
        client,
        signal,
        codings: partCodings(transferCoding),
        ...expected,
      });
      outcomes.push(judgement.then((value) => ({ kind: "judged", fileName, judgement: value })));
      unfinished.add(judgement);
      void judgement.then(() => unfinished.delete(judgement));
      await Promise.race([source.ended, judgement]);
      if (options.signal.aborted || !(await source.skip(budget)) || source.isBroken) break;
    }
  } catch (error) {
    outcomes.push(
      Promise.resolve({ kind: "judged", fileName: "", judgement: { kind: "failed", error: toClamgateError(error) } }),
    );
  } finally {
    budget.close();
  }
  return await Promise.all(outcomes);
}

export type Judgement = ({ readonly kind: "scanned" } & Finding) | { readonly kind: "failed"; readonly error: ClamgateError };

/** Never rejects. */
export async function judge(
  scan: Scan,
  body: AsyncIterable<Uint8Array>,
  options: Omit<LayersOptions, "via">,
): Promise<Judgement> {
  try {
    const scanned = await scanLayers(scan, body, { ...options, via: "rest" });
    await scanned[Symbol.asyncDispose]();
    return { kind: "scanned", report: scanned.report, decision: scanned.decision };
  } catch (error) {
    return { kind: "failed", error: toClamgateError(error) };
  }
}

class PartSource implements AsyncIterable<Uint8Array> {
  readonly #body: AsyncIterator<Uint8Array>;
  readonly #ended = Promise.withResolvers<void>();
  #isOver = false;
  #isBroken = false;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#body = body[Symbol.asyncIterator]();
  }

  /** True when nothing can be read behind this part: the request itself is broken, not the part's scan. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Resolves when the part has been read to its end, or cannot be. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Without `return`: a scan that leaves early must not take the rest of the request with it. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#next() };
  }

  /** Reads what is left and drops it; false when the budget ended first. */
  async skip(budget: SkipBudget): Promise<boolean> {
    while (!this.#isOver) {
      const read = await budget.within(this.#next());
      if (read === null) return false;
      if (!read.done && !budget.spend(read.value.length)) return false;
    }
    return true;
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    try {
      const read = await this.#body.next();
      if (read.done) this.#end();
      return read;
    } catch (error) {
      this.#isBroken = true;
      this.#end();
      throw error;
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#ended.resolve();
  }
}

export interface SkipLimits {
  readonly maxBytes: number;
  readonly maxMs: number;
}

/** Shared by all parts of a request that are skipped. The time runs from the first of them, whatever the client then sends. */
class SkipBudget {
  readonly #limits: SkipLimits;
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #isExpired = false;
  #onExpired: (() => void) | null = null;

  constructor(limits: SkipLimits) {
    this.#limits = limits;
  }

  /** False when these bytes are more than may be skipped. */
  spend(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes <= this.#limits.maxBytes;
  }

  /** The promise's value, or null when the time is over first. One call at a time; a race per chunk would keep every one of them. */
  within<T>(promise: Promise<T>): Promise<T | null> {
    this.#timer ??= setTimeout(() => {
      this.#isExpired = true;
      this.#onExpired?.();
    }, this.#limits.maxMs);
    return new Promise((resolve, reject) => {
      this.#onExpired = () => resolve(null);
      promise.then(resolve, reject);
      if (this.#isExpired) resolve(null);
    });
  }

  /** Nothing is skipped after that. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

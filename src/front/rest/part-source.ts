/** The bytes of one part: read by the scan as far as it wants, then skipped, so that the next part can be reached. */

import type { SkipBudget } from "./skip-budget.ts";

export class PartSource implements AsyncIterable<Uint8Array> {
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

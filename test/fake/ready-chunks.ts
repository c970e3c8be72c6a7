/** A source whose chunks are all there: whoever waits for one fails the test. */

import assert from "node:assert/strict";
import { ChunkSource } from "../../src/core/chunk-source.ts";

export class ReadyChunks extends ChunkSource {
  readonly #chunks: Uint8Array[];
  isLeft = false;

  constructor(chunks: readonly Uint8Array[]) {
    super();
    this.#chunks = [...chunks];
  }

  /** Chunks nobody has asked for yet. */
  get unread(): number {
    return this.#chunks.length;
  }

  take(): Uint8Array | null {
    return this.#chunks.shift() ?? null;
  }

  async ready(): Promise<void> {
    assert.fail("nothing is to be waited for");
  }

  leave(): void {
    this.isLeft = true;
  }
}

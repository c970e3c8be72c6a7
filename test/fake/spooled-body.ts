/** A body whose bytes, size and faults a test decides, and which counts who holds it. */

import type { SpooledBody } from "../../src/core/ports.ts";

export interface FakeBody extends SpooledBody {
  /** Those that are not disposed yet, this one included. */
  holders(): number;
}

export interface FakeBodyOptions {
  readonly size: number;
  readonly sha256?: string;
  readonly bytes?: Uint8Array | null;
  readonly path?: string | null;
  /** The pieces that `read` gives; after them it throws `error`, where there is one. */
  readonly read?: readonly Uint8Array[];
  readonly error?: Error;
}

export function fakeBody({
  size,
  sha256 = "0".repeat(64),
  bytes = null,
  path = null,
  read = [],
  error,
}: FakeBodyOptions): FakeBody {
  let holders = 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    // Each reader has them for itself.
    for (const piece of read) yield Buffer.from(piece);
    if (error !== undefined) throw error;
  }
  function hold(): FakeBody {
    let isHeld = true;
    holders += 1;
    return {
      size,
      sha256,
      bytes,
      path,
      read: pieces,
      hold,
      holders: () => holders,
      async [Symbol.asyncDispose]() {
        if (isHeld) holders -= 1;
        isHeld = false;
      },
    };
  }
  return hold();
}

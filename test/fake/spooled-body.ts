/** A body whose bytes, size and faults a test decides, and which counts who holds it. */

import type { BodyRange, SpooledBody } from "../../src/core/spool.ts";

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
  async function* pieces({ start = 0, end = Number.POSITIVE_INFINITY }: BodyRange = {}): AsyncGenerator<Uint8Array> {
    let at = 0;
    for (const piece of read) {
      const wanted = piece.subarray(Math.max(0, start - at), Math.max(0, end - at));
      // Each reader has them for itself.
      if (wanted.length > 0) yield Buffer.from(wanted);
      at += piece.length;
    }
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

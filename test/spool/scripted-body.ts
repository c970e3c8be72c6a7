/** A body that follows a script: its chunks, then an end, an error, or a wait that only the test can end. */

export type Ending = { readonly kind: "end" } | { readonly kind: "error"; readonly error: Error } | { readonly kind: "wait" };

export class ScriptedBody implements AsyncIterableIterator<Uint8Array> {
  readonly #chunks: Uint8Array[];
  readonly #ending: Ending;
  readonly #reached = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<IteratorResult<Uint8Array, undefined>>();
  returns = 0;

  constructor(chunks: readonly Uint8Array[], ending: Ending = { kind: "end" }) {
    this.#chunks = [...chunks];
    this.#ending = ending;
  }

  /** Resolves when every chunk was taken and the next one is being waited for. */
  get waitedFor(): Promise<void> {
    return this.#reached.promise;
  }

  /** Chunks nobody has asked for yet. */
  get unread(): number {
    return this.#chunks.length;
  }

  /** Ends the wait. */
  release(result: { readonly error: Error } | { readonly chunk: Uint8Array }): void {
    if ("error" in result) this.#released.reject(result.error);
    else this.#released.resolve({ done: false, value: result.chunk });
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) return { done: false, value: chunk };
    this.#reached.resolve();
    switch (this.#ending.kind) {
      case "end":
        return { done: true, value: undefined };
      case "error":
        throw this.#ending.error;
      case "wait":
        return this.#released.promise;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.returns += 1;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** `size` bytes that differ along the way, so that a piece out of place shows. */
export function sampleBytes(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index += 1) bytes[index] = (index * 31 + (index >>> 8)) & 0xff;
  return bytes;
}

/** Cuts bytes into chunks of `length`, the last one shorter. */
export function cut(bytes: Uint8Array, length: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; start += length) chunks.push(bytes.subarray(start, start + length));
  return chunks;
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces);
}

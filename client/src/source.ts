/** Bytes to scan, in whichever form a caller has them. */

import { ScanError } from "./errors.ts";

/** What can be scanned. */
export type Body = Uint8Array | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** A body as the targets read it. */
export interface Source {
  /** Bytes; null where nobody knows before the end. */
  readonly size: number | null;
  /** Whether it can be read a second time, as another try needs. */
  readonly isRepeatable: boolean;
  /** The bytes where they are all in memory. */
  readonly bytes: Uint8Array<ArrayBuffer> | null;
  /** Throws a ScanError `input` where the body cannot be read. */
  read(): AsyncIterable<Uint8Array>;
}

/** @throws ScanError `input` where it is none of the kinds. */
export function sourceOf(body: Body): Source {
  if (body instanceof Uint8Array) {
    const bytes = ownBytes(body);
    return { size: body.length, isRepeatable: true, bytes, read: () => inOne(bytes) };
  }
  if (body instanceof Blob)
    return { size: body.size, isRepeatable: true, bytes: null, read: () => asInput(streamed(body.stream())) };
  const once = (chunks: AsyncIterable<Uint8Array>) => ({
    size: null,
    isRepeatable: false,
    bytes: null,
    read: () => asInput(chunks),
  });
  if (body instanceof ReadableStream) return once(streamed(body));
  if (isAsyncIterable(body)) return once(body);
  throw new ScanError("input", "a body is a Uint8Array, a Blob, a ReadableStream or an async iterable of Uint8Array");
}

/** Stops with `too-large` at the first byte beyond `maxBytes`, and counts what has passed. */
export async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
  moved: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let size = 0;
  for await (const chunk of chunks) {
    if (!(chunk instanceof Uint8Array)) throw new ScanError("input", "a chunk of the body is not a Uint8Array");
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    moved(chunk.length);
    if (chunk.length > 0) yield chunk;
  }
}

export function tooLarge(maxBytes: number): ScanError {
  return new ScanError("too-large", `the body has more than ${maxBytes} bytes`);
}

/** What reading the body throws is the body's fault, not the target's. */
async function* asInput(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof ScanError) throw error;
    throw new ScanError("input", `the body cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

async function* inOne(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.length > 0) yield bytes;
}

/** Not every platform lets a stream be gone through by itself. */
async function* streamed(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {}); // it has failed already, and that was told
    reader.releaseLock();
  }
}

function isAsyncIterable(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

/** A view of memory that threads share cannot be sent: it is copied. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : Uint8Array.from(bytes);
}

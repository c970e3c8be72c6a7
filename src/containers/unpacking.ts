/** Streams within a body that Node unpacks: whole, as pieces of it, or their first bytes. */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  gunzipSync,
  inflateRawSync,
} from "node:zlib";
import { freeChunk } from "../core/chunk-source.ts";
import type { BodyReader } from "./body-reader.ts";

export type Packing = "stored" | "gzip" | "zlib" | "deflate" | "zstd" | "brotli";

export interface PackedRange {
  readonly packing: Packing;
  readonly from: number;
  readonly to: number;
}

/** What is broken yields what comes before the break, as lenient readers have it. */
export class Unpacking {
  readonly #reader: BodyReader;
  readonly #range: PackedRange;
  /** Bytes of the body that were unpacked. */
  packedBytes = 0;
  /** Whether it was unpacked to its end; bytes may be left behind that. */
  isWhole = false;

  constructor(reader: BodyReader, range: PackedRange) {
    this.#reader = reader;
    this.#range = range;
  }

  /** A chunk is there until the next one is asked for. */
  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    const { packing, from, to } = this.#range;
    const decoder = decoderOf(packing);
    if (decoder === null) {
      for await (const bytes of this.#reader.range(from, to)) yield bytes;
      this.isWhole = true;
      return;
    }
    const running = pipeline(Readable.from(packed(this.#reader, from, to), { objectMode: false }), decoder);
    running.catch(() => {}); // told where the bytes are read
    try {
      for await (const bytes of decoder as AsyncIterable<Buffer>) {
        this.packedBytes = decoder.bytesWritten;
        yield bytes;
        freeChunk(bytes);
      }
      this.isWhole = true;
    } catch (error) {
      if (!isDataError(error)) throw error;
    } finally {
      this.packedBytes = decoder.bytesWritten;
      decoder.destroy();
      await running.catch(() => {}); // as above
    }
  }
}

const packedBytes = 256 * 1024;

/** Not a `range`: streams ask for the next chunk while they still read this one. */
async function* packed(reader: BodyReader, from: number, to: number): AsyncGenerator<Buffer, void, undefined> {
  const end = Math.min(to, reader.size);
  for (let at = from; at < end; at += packedBytes) yield await reader.some(at, Math.min(packedBytes, end - at));
}

/** Each piece is a turn in a thread of libuv: the 16 KiB that Node has by itself cost three times the processor time. */
const chunkSize = 64 * 1024;

function decoderOf(packing: Packing) {
  switch (packing) {
    case "stored":
      return null;
    case "gzip":
      return createGunzip({ chunkSize });
    case "zlib":
      return createInflate({ chunkSize });
    case "deflate":
      return createInflateRaw({ chunkSize });
    case "zstd":
      return createZstdDecompress({ chunkSize });
    case "brotli":
      return createBrotliDecompress({ chunkSize });
  }
}

function isDataError(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^(Z_|ZSTD_|ERR_(BROTLI|ZLIB|_ERROR))/.test(String(error.code));
}

/** So many packed bytes tell what begins there; of zeros they make half a megabyte. */
export const startBytes = 512;
const beginning = { finishFlush: constants.Z_SYNC_FLUSH };

/** What the first bytes unpack to, none where they do not. */
export function unpackedStart(packing: "gzip" | "deflate", bytes: Buffer): Buffer {
  const start = bytes.subarray(0, startBytes);
  try {
    return packing === "gzip" ? gunzipSync(start, beginning) : inflateRawSync(start, beginning);
  } catch {
    // It only looked like it.
    return Buffer.alloc(0);
  }
}

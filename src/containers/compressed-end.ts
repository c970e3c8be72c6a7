/** Where a gzip file or a tar ends, whatever stands behind it. */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { isTarHeader, tarHeaderBytes } from "../codec/tar-header.ts";
import { type BodyReader, LimitReached } from "./body-reader.ts";

/** Behind the last member of a tar: where its end marks begin, or what is no header (POSIX.1 pax, "ustar Interchange Format"). */
export async function tarEnd(reader: BodyReader): Promise<number> {
  let at = 0;
  for (let member = 0; member <= reader.maxEntries; member += 1) {
    const header = await reader.exactly(at, tarHeaderBytes);
    if (header === null || !isTarHeader(header)) return at;
    at += tarHeaderBytes + Math.ceil(memberSize(header) / tarHeaderBytes) * tarHeaderBytes;
  }
  throw new LimitReached("limit-files");
}

function memberSize(header: Buffer): number {
  const first = header[124] ?? 0;
  if (first >= 0x80) return header.subarray(128, 136).reduce((size, byte) => size * 256 + byte, 0);
  return Number.parseInt(/^[\s\0]*([0-7]*)/.exec(header.toString("latin1", 124, 136))?.[1] || "0", 8);
}

/** As with bodies that are decoded: gzip makes a thousandth of zeros. */
const freeBytes = 128 * 1024 * 1024;
const maxRatio = 256;

/** Behind the last whole member of a gzip file (RFC 1952). Rejects with LimitReached where it unpacks to more than is bearable. */
export async function gzipEnd(reader: BodyReader): Promise<number> {
  const gunzip = createGunzip();
  const running = pipeline(Readable.from(bytesOf(reader), { objectMode: false }), gunzip);
  running.catch(() => {}); // told where the bytes are read
  let left = freeBytes + maxRatio * reader.size;
  try {
    for await (const { length } of gunzip as AsyncIterable<Buffer>) {
      left -= length;
      if (left < 0) throw new LimitReached("limit-size");
    }
  } catch (error) {
    if (!isDataError(error)) throw error;
  } finally {
    gunzip.destroy();
    await running.catch(() => {}); // as above
  }
  return gunzip.bytesWritten;
}

async function* bytesOf(reader: BodyReader): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { bytes } of reader.pieces(0)) yield bytes;
}

/** What is broken ends where it breaks. */
function isDataError(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("Z_");
}

/** gzip files and tars: what they hold, and where they end, whatever stands behind that. */

import { isTarHeader, tarHeaderBytes } from "../codec/tar-header.ts";
import { LimitReached } from "../core/look-inside.ts";
import type { BodyReader } from "./body-reader.ts";
import { headBytes } from "./kind.ts";
import { startBytes, Unpacking, unpackedStart } from "./unpacking.ts";

/**
 * Has members looked at that are worth it. Resolves with what is behind the last member: where its end marks begin, or what is no header
 * (POSIX.1 pax, "ustar Interchange Format").
 */
export async function openTar(reader: BodyReader): Promise<number> {
  let at = 0;
  for (let member = 0; member <= reader.maxEntries; member += 1) {
    const header = await reader.exactly(at, tarHeaderBytes);
    if (header === null || !isTarHeader(header)) return at;
    const from = at + tarHeaderBytes;
    const size = memberSize(header);
    const to = from + size;
    if (size > 0 && reader.isWorthALook(await reader.some(from, Math.min(size, headBytes))))
      await reader.handOver({ isScanned: true, read: () => reader.range(from, to) });
    at = from + Math.ceil(size / tarHeaderBytes) * tarHeaderBytes;
  }
  throw new LimitReached("limit-files");
}

function memberSize(header: Buffer): number {
  const first = header[124] ?? 0;
  if (first >= 0x80) return header.subarray(128, 136).reduce((size, byte) => size * 256 + byte, 0);
  return Number.parseInt(/^[\s\0]*([0-7]*)/.exec(header.toString("latin1", 124, 136))?.[1] || "0", 8);
}

/** Has what is packed looked at where that is worth it. */
export async function openGzip(reader: BodyReader): Promise<void> {
  if (!reader.isWorthALook(unpackedStart("gzip", await reader.some(0, startBytes)))) return;
  const unpacking = new Unpacking(reader, { packing: "gzip", from: 0, to: reader.size });
  await reader.handOver({ isScanned: true, read: () => unpacking.read() });
}

/** As with bodies that are decoded: gzip makes a thousandth of zeros. */
const freeBytes = 128 * 1024 * 1024;
const maxRatio = 256;

/** Behind the last whole member of a gzip file (RFC 1952). Rejects with LimitReached where it unpacks to more than is bearable. */
export async function gzipEnd(reader: BodyReader): Promise<number> {
  const unpacking = new Unpacking(reader, { packing: "gzip", from: 0, to: reader.size });
  let left = freeBytes + maxRatio * reader.size;
  for await (const { length } of unpacking.read()) {
    left -= length;
    if (left < 0) throw new LimitReached("limit-size");
  }
  return unpacking.packedBytes;
}

/** The coders that a 7z archive was made with, by its header: packed or not (7zFormat.txt). */

import { crc32 } from "node:zlib";
import { LimitReached } from "../../core/look-inside.ts";
import { together, type Unscannable } from "../../core/verdict.ts";
import type { BodyReader } from "../body-reader.ts";
import { finding } from "../finding.ts";
import { LzmaError, lzmaProperties, unpackLzma, unpackLzma2 } from "./lzma.ts";
import { type Folder, isKnownShape, readPackedStreams, type Streams, StreamsError } from "./seven-zip-streams.ts";

export const sevenZipSignature = Buffer.from("7z\xbc\xaf\x27\x1c", "latin1");
export const sevenZipStartBytes = 32;
/** Of a hundred thousand names. */
const maxHeaderBytes = 8 * 1024 * 1024;
/** A packed header may be in another; archivers write one. */
const maxPackedHeaders = 4;

const copy = 0x00;
const lzma = 0x03_01_01;
const lzma2 = 0x21;
const aes = 0x06_f1_07_01;

/** Whether a 7z archive begins so: its first record has a checksum of its own. */
export function isSevenZipStart(bytes: Buffer): boolean {
  if (bytes.length < sevenZipStartBytes || !bytes.subarray(0, 6).equals(sevenZipSignature)) return false;
  return crc32(bytes.subarray(12, sevenZipStartBytes)) === bytes.readUInt32LE(8);
}

/** Rejects with LimitReached. */
export async function inspectSevenZip(reader: BodyReader): Promise<Unscannable | null> {
  const start = await reader.exactly(0, sevenZipStartBytes);
  if (start === null) return finding("7Zip.Cut");
  if (!isSevenZipStart(start)) return finding("7Zip.Header");
  const headerAt = sevenZipStartBytes + Number(start.readBigUInt64LE(12));
  const size = Number(start.readBigUInt64LE(20));
  if (size === 0) return null;
  if (headerAt + size > reader.size) return finding("7Zip.Cut");
  if (size > maxHeaderBytes) throw new LimitReached("limit-size");
  let header = await reader.some(headerAt, size);
  if (crc32(header) !== start.readUInt32LE(28)) return finding("7Zip.Header");
  try {
    for (let packed = 0; packed <= maxPackedHeaders; packed += 1) {
      const { isPacked, streams } = await readPackedStreams(header, reader);
      const found = judgeFolders(streams);
      if (!isPacked || found !== null) return together(found, isCut(streams, headerAt) ? finding("7Zip.Cut") : null);
      if (isCut(streams, headerAt)) return finding("7Zip.Cut");
      header = await unpacked(reader, streams);
    }
    return finding("7Zip.Header");
  } catch (error) {
    if (error instanceof StreamsError || error instanceof LzmaError) return finding("7Zip.Header");
    throw error;
  }
}

function judgeFolders({ folders }: Streams): Unscannable | null {
  let worst: Unscannable | null = null;
  for (const folder of folders) {
    if (folder.coders.some(({ method }) => method === aes)) worst = together(worst, finding("Encrypted.7Zip"));
    else if (!isKnownShape(folder)) return finding("7Zip.Coder");
  }
  return worst;
}

function isCut({ packedAt, packedSizes }: Streams, headerAt: number): boolean {
  return sevenZipStartBytes + packedAt + packedSizes.reduce((sum, size) => sum + size, 0) > headerAt;
}

/** Of the one folder that a packed header has. */
async function unpacked(reader: BodyReader, { folders, packedAt, packedSizes, size, sum }: Streams): Promise<Buffer> {
  const [folder] = folders;
  const [packedSize] = packedSizes;
  const coder = folder?.coders[0];
  if (coder === undefined || packedSize === undefined || size === null) throw new StreamsError("no packed header");
  if (folders.length > 1 || folder?.coders.length !== 1) throw new StreamsError("a header of two coders");
  if (size > maxHeaderBytes || packedSize > maxHeaderBytes) throw new LimitReached("limit-size");
  const packed = await reader.some(sevenZipStartBytes + packedAt, packedSize);
  const breathe = () => reader.breathe();
  const header = await unpackedBy(coder, { packed, size, breathe });
  if (sum !== null && crc32(header) !== sum) throw new StreamsError("a header with another checksum");
  return header;
}

async function unpackedBy(
  { method, properties }: Folder["coders"][number],
  input: { readonly packed: Buffer; readonly size: number; readonly breathe: () => Promise<void> },
): Promise<Buffer> {
  switch (method) {
    case copy:
      return input.packed.subarray(0, input.size);
    case lzma2:
      return unpackLzma2(input);
    case lzma: {
      const parsed = lzmaProperties(properties[0] ?? 0xff);
      if (parsed === null) throw new StreamsError("LZMA without properties");
      return unpackLzma(parsed, input);
    }
  }
  throw new StreamsError("a header of another coder");
}

/** The entries of a zip as its directory has them, and a zip of the same entries that is written so that clamd reads all of it. */

import { LimitReached } from "../../core/look-inside.ts";
import type { BodyReader } from "../body-reader.ts";
import type { ZipDirectory } from "./zip-end.ts";

export const localMark = "PK\x03\x04";
const centralMark = "PK\x01\x02";
const endMark = "PK\x05\x06";
const localBytes = 30;
const centralBytes = 46;
const endBytes = 22;
/** Stands for a number that only the zip64 field has. */
export const unknownSize = 0xffff_ffff;
export const descriptorFlag = 8;

/** What a header says, the local one or the directory's; long numbers are taken from the zip64 field. */
export interface EntryHeader {
  readonly flags: number;
  readonly method: number;
  readonly packedSize: number;
  readonly size: number;
  /** Whether the packed size, or any number, is in the zip64 field. */
  readonly isPackedSizeLong: boolean;
  readonly isLong: boolean;
}

export interface Entry extends EntryHeader {
  readonly name: Buffer;
  /** As they are written: time, date, checksum. */
  readonly marks: Buffer;
  readonly localAt: number;
  /** Null where there is none. */
  readonly local: EntryHeader | null;
  /** Whether the zip64 field alone says where it begins. */
  readonly isLocalAtLong: boolean;
  /** Where its packed bytes begin. */
  readonly dataAt: number;
  /** Behind its header in the directory. */
  readonly nextAt: number;
}

/** Ends before the directory does where that is broken. Rejects with LimitReached. */
export async function* readEntries(reader: BodyReader, directory: ZipDirectory): AsyncGenerator<Entry, void, undefined> {
  const shift = directory.start - directory.writtenStart;
  let at = directory.start;
  for (let count = 0; at < directory.end; count += 1) {
    if (count >= reader.maxEntries) throw new LimitReached("limit-files");
    const header = await reader.exactly(at, centralBytes);
    if (header?.toString("latin1", 0, 4) !== centralMark) return;
    const nameBytes = header.readUInt16LE(28);
    const extraBytes = header.readUInt16LE(30);
    const variable = await reader.some(at + centralBytes, nameBytes + extraBytes);
    const long = longValues(variable.subarray(nameBytes));
    const central = readHeader(header.subarray(8), long);
    const offset = header.readUInt32LE(42);
    const localAt = shift + (offset === unknownSize ? (long.shift() ?? unknownSize) : offset);
    const { local, dataAt } = await readLocal(reader, localAt);
    at += centralBytes + nameBytes + extraBytes + header.readUInt16LE(32);
    yield {
      ...central,
      name: variable.subarray(0, nameBytes),
      marks: header.subarray(12, 20),
      localAt,
      isLocalAtLong: offset === unknownSize,
      local,
      dataAt,
      nextAt: at,
    };
  }
}

async function readLocal(reader: BodyReader, at: number): Promise<Pick<Entry, "local" | "dataAt">> {
  const header = await reader.exactly(at, localBytes);
  if (header?.toString("latin1", 0, 4) !== localMark) return { local: null, dataAt: at };
  const nameBytes = header.readUInt16LE(26);
  const extraBytes = header.readUInt16LE(28);
  const dataAt = at + localBytes + nameBytes + extraBytes;
  const isLong = header.readUInt32LE(18) === unknownSize || header.readUInt32LE(22) === unknownSize;
  const long = isLong ? longValues(await reader.some(at + localBytes + nameBytes, extraBytes)) : [];
  return { local: readHeader(header.subarray(6), long), dataAt };
}

/** Of what stands behind the versions; both headers have the same there. */
function readHeader(header: Buffer, long: number[]): EntryHeader {
  const packed = header.readUInt32LE(12);
  const unpacked = header.readUInt32LE(16);
  const size = unpacked === unknownSize ? (long.shift() ?? unknownSize) : unpacked;
  const packedSize = packed === unknownSize ? (long.shift() ?? unknownSize) : packed;
  const isPackedSizeLong = packed === unknownSize;
  const isLong = isPackedSizeLong || unpacked === unknownSize;
  return { flags: header.readUInt16LE(0), method: header.readUInt16LE(2), packedSize, size, isPackedSizeLong, isLong };
}

/** Of the zip64 field (APPNOTE.TXT 4.5.3): the size, the packed size, the offset, as far as the header leaves them out. */
function longValues(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const field = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    return Array.from({ length: Math.floor(field.length / 8) }, (_, index) => Number(field.readBigUInt64LE(index * 8)));
  }
  return [];
}

/** Sizes in each header, nothing in front, no zip64, no more than the directory names; packed bytes are as they were. */
export async function* copyOfZip(reader: BodyReader, directory: ZipDirectory): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const entry of readEntries(reader, directory)) {
    yield Buffer.concat([writtenHeader(localMark, entry, localBytes), entry.name]);
    yield* reader.range(entry.dataAt, entry.dataAt + entry.packedSize);
  }
  let count = 0;
  let start = 0;
  let bytes = 0;
  for await (const entry of readEntries(reader, directory)) {
    const header = writtenHeader(centralMark, entry, centralBytes);
    header.writeUInt32LE(start, 42);
    yield Buffer.concat([header, entry.name]);
    count += 1;
    start += localBytes + entry.name.length + entry.packedSize;
    bytes += header.length + entry.name.length;
  }
  const end = Buffer.alloc(endBytes);
  end.write(endMark, "latin1");
  for (const at of [8, 10]) end.writeUInt16LE(count % 0x1_0000, at);
  end.writeUInt32LE(bytes, 12);
  end.writeUInt32LE(start, 16);
  yield end;
}

function writtenHeader(mark: string, { flags, method, marks, packedSize, size, name }: Entry, length: number): Buffer {
  const header = Buffer.alloc(length);
  header.write(mark, "latin1");
  const at = length === localBytes ? 4 : 6;
  header.writeUInt16LE(20, 4);
  header.writeUInt16LE(20, at);
  header.writeUInt16LE(flags & ~descriptorFlag, at + 2);
  header.writeUInt16LE(method, at + 4);
  marks.copy(header, at + 6);
  header.writeUInt32LE(packedSize, at + 14);
  header.writeUInt32LE(Math.min(size, unknownSize), at + 18);
  header.writeUInt16LE(name.length, at + 22);
  return header;
}

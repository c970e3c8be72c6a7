/** The records of a 7z header as far as its folders: what is packed where, and by which coders (7zFormat.txt, "Streams Info"). */

import { LimitReached } from "../../core/look-inside.ts";
import type { BodyReader } from "../body-reader.ts";

/** The header is not what an archiver writes. */
export class StreamsError extends Error {
  override readonly name = "StreamsError";
}

export interface Coder {
  readonly method: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly properties: Buffer;
}

export interface Folder {
  readonly coders: readonly Coder[];
  /** Which input each output goes to, as pairs of indices. */
  readonly bindings: readonly (readonly [input: number, output: number])[];
  /** The inputs that come from the archive. */
  readonly packed: readonly number[];
}

export interface Streams {
  /** Behind the first 32 bytes. */
  readonly packedAt: number;
  readonly packedSizes: readonly number[];
  readonly folders: readonly Folder[];
  /** Of what comes out of the first coder of the first folder. */
  readonly size: number | null;
  /** Of what comes out of the first folder, CRC-32. */
  readonly sum: number | null;
}

export interface PackedStreams {
  /** Whether what is packed is the header itself. */
  readonly isPacked: boolean;
  readonly streams: Streams;
}

const id = {
  end: 0x00,
  header: 0x01,
  properties: 0x02,
  additional: 0x03,
  main: 0x04,
  packInfo: 0x06,
  unpackInfo: 0x07,
  size: 0x09,
  sum: 0x0a,
  folder: 0x0b,
  unpackSizes: 0x0c,
  packedHeader: 0x17,
} as const;

/** As 7-Zip has it: coders, inputs and outputs of one folder. */
const maxCoders = 32;
const bcj2 = 0x03_03_01_1b;
/** Copy, LZMA, LZMA2, PPMd. */
const mainMethods = new Set([0x00, 0x03_01_01, 0x21, 0x03_04_01]);
/** x86, ARM. */
const filters = new Set([0x03_03_01_03, 0x03_03_05_01]);
/** A folder may have four packed streams. */
const leastCount = 4;
const itemsPerBreath = 128;
const none: Streams = { packedAt: 0, packedSizes: [], folders: [], size: null, sum: null };

/** Whether clamd unpacks it: one main coder, or one and a filter behind it, or what BCJ2 is made of (libclamav 1.4 7z/7zDec.c). */
export function isKnownShape({ coders, bindings, packed }: Folder): boolean {
  const isMain = (coder: Coder | undefined) => coder !== undefined && isPlain(coder) && mainMethods.has(coder.method);
  const isPlain = ({ inputs, outputs }: Coder) => inputs === 1 && outputs === 1;
  const [first, second, third, fourth] = coders;
  if (!isMain(first)) return false;
  const shape = JSON.stringify([bindings, packed]);
  switch (coders.length) {
    case 1:
      return shape === "[[],[0]]";
    case 2:
      return second !== undefined && isPlain(second) && filters.has(second.method) && shape === "[[[1,0]],[0]]";
    case 4:
      return (
        isMain(second) &&
        isMain(third) &&
        fourth?.method === bcj2 &&
        fourth.inputs === 4 &&
        fourth.outputs === 1 &&
        shape === "[[[5,0],[4,1],[3,2]],[2,6,1,0]]"
      );
  }
  return false;
}

/** Rejects with StreamsError, with LimitReached, or with the signal's reason. */
export async function readPackedStreams(header: Buffer, reader: BodyReader): Promise<PackedStreams> {
  const cursor = new Cursor(header, reader);
  switch (cursor.byte()) {
    case id.packedHeader:
      return { isPacked: true, streams: await readStreams(cursor) };
    case id.header: {
      let next = cursor.byte();
      if (next === id.properties) {
        for (let type = cursor.byte(); type !== id.end; type = cursor.byte()) cursor.bytes(cursor.number());
        next = cursor.byte();
      }
      if (next === id.additional) throw new StreamsError("streams that nobody writes");
      return { isPacked: false, streams: next === id.main ? await readStreams(cursor) : none };
    }
  }
  throw new StreamsError("no header");
}

async function readStreams(cursor: Cursor): Promise<Streams> {
  let type = cursor.byte();
  let packedAt = 0;
  let packedSizes: readonly number[] = [];
  if (type === id.packInfo) {
    packedAt = cursor.number();
    const count = cursor.count();
    for (type = cursor.byte(); type !== id.end; type = cursor.byte()) {
      if (type === id.size) packedSizes = await cursor.list(count, () => cursor.number());
      else if (type === id.sum) await readSums(cursor, count);
      else throw new StreamsError("another record of what is packed");
    }
    type = cursor.byte();
  }
  if (type !== id.unpackInfo) return { ...none, packedAt, packedSizes };
  if (cursor.byte() !== id.folder) throw new StreamsError("no folders");
  const count = cursor.count();
  if (cursor.byte() !== 0) throw new StreamsError("folders from elsewhere");
  const folders = await cursor.list(count, () => readFolder(cursor));
  if (cursor.byte() !== id.unpackSizes) throw new StreamsError("no sizes");
  const sizes = await cursor.list(count, (index) =>
    Array.from({ length: (folders[index]?.bindings.length ?? 0) + 1 }, () => cursor.number()),
  );
  let sums: readonly (number | null)[] = [];
  for (type = cursor.byte(); type !== id.end; type = cursor.byte()) {
    if (type !== id.sum) throw new StreamsError("another record of what is unpacked");
    sums = await readSums(cursor, count);
  }
  return { packedAt, packedSizes, folders, size: sizes[0]?.[0] ?? null, sum: sums[0] ?? null };
}

function readFolder(cursor: Cursor): Folder {
  const count = cursor.number();
  if (count < 1 || count > maxCoders) throw new StreamsError("too many coders");
  const coders = Array.from({ length: count }, () => readCoder(cursor));
  const inputs = coders.reduce((sum, coder) => sum + coder.inputs, 0);
  const outputs = coders.reduce((sum, coder) => sum + coder.outputs, 0);
  if (inputs > maxCoders || outputs > maxCoders) throw new StreamsError("too many streams");
  if (outputs < 1 || inputs < outputs - 1) throw new StreamsError("coders that do not fit");
  const bindings = Array.from({ length: outputs - 1 }, () => [cursor.number(), cursor.number()] as const);
  const packedCount = inputs - bindings.length;
  const free = Array.from({ length: inputs }, (_, index) => index).filter(
    (index) => !bindings.some(([input]) => input === index),
  );
  const packed = packedCount === 1 ? free.slice(0, 1) : Array.from({ length: packedCount }, () => cursor.number());
  return { coders, bindings, packed };
}

function readCoder(cursor: Cursor): Coder {
  const flags = cursor.byte();
  if ((flags & 0xc0) !== 0) throw new StreamsError("a coder of a later version");
  const method = cursor.bytes(flags & 0x0f).reduce((value, byte) => value * 256 + byte, 0);
  const isComplex = (flags & 0x10) !== 0;
  const inputs = isComplex ? cursor.number() : 1;
  const outputs = isComplex ? cursor.number() : 1;
  const properties = (flags & 0x20) === 0 ? Buffer.alloc(0) : cursor.bytes(cursor.number());
  return { method, inputs, outputs, properties };
}

async function readSums(cursor: Cursor, count: number): Promise<readonly (number | null)[]> {
  const areAll = cursor.byte() !== 0;
  const bits = areAll ? null : cursor.bytes(Math.ceil(count / 8));
  return cursor.list(count, (index) => {
    const isThere = bits === null || (((bits[index >> 3] ?? 0) << (index & 7)) & 0x80) !== 0;
    return isThere ? cursor.bytes(4).readUInt32LE(0) : null;
  });
}

class Cursor {
  readonly #bytes: Buffer;
  readonly #reader: BodyReader;
  #at = 0;

  constructor(bytes: Buffer, reader: BodyReader) {
    this.#bytes = bytes;
    this.#reader = reader;
  }

  byte(): number {
    return this.bytes(1).readUInt8(0);
  }

  bytes(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new StreamsError("the header ends too early");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  /** As many leading ones as bytes follow (7zFormat.txt, "UINT64"). */
  number(): number {
    const first = this.byte();
    let more = 0;
    while (more < 8 && (first & (0x80 >> more)) !== 0) more += 1;
    const rest = this.bytes(more);
    let value = more >= 7 ? 0 : first & (0x7f >> more);
    for (let index = more - 1; index >= 0; index -= 1) value = value * 256 + (rest[index] ?? 0);
    return value;
  }

  /** Of what takes at least one byte each. An archive has no more folders than files. */
  count(): number {
    const count = this.number();
    if (count > this.#bytes.length - this.#at) throw new StreamsError("more than there is room for");
    if (count > Math.max(leastCount, this.#reader.maxEntries)) throw new LimitReached("limit-files");
    return count;
  }

  async list<Item>(count: number, make: (index: number) => Item): Promise<readonly Item[]> {
    const items: Item[] = [];
    while (items.length < count) {
      if (items.length % itemsPerBreath === 0) await this.#reader.breathe();
      items.push(make(items.length));
    }
    return items;
  }
}

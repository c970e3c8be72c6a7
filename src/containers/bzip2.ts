/**
 * bzip2 files of several streams, of which clamd unpacks the first: they are written as one stream, without being unpacked. What a block is
 * packed to does not depend on where it stands (bzip2-1.0.8 decompress.c).
 */

import { LimitReached } from "../core/look-inside.ts";
import type { BodyReader } from "./body-reader.ts";

/** Both are numbers that stand at any bit. */
const blockMark = 0x314159265359n;
const endMark = 0x177245385090n;
const markBits = 48;
const markBytes = 7;
const hitsPerBreath = 256;
const overlapBytes = markBytes - 1;
const headBytes = 4;
const headBits = 8 * headBytes;
const checksumBits = 32;
const start = /^BZh[1-9]$/;
const firstMarks = ["1AY&SY", "\x17rE8P\x90"];
const startBytes = 10;

export function isBzip2Start(head: Buffer): boolean {
  return start.test(head.toString("latin1", 0, headBytes)) && firstMarks.includes(head.toString("latin1", headBytes, startBytes));
}

/** Has the joined stream scanned where there are several. */
export async function joinBzip2(reader: BodyReader): Promise<void> {
  if ((await reader.indexOf(Buffer.from("1AY&SY"), startBytes)) === -1) return;
  const streams = await readStreams(reader);
  if (streams.length < 2) return;
  await reader.handOver({ isScanned: false, read: () => joined(reader, streams) });
}

interface Stream {
  /** Bits of the body: of its first block, and behind its last. */
  readonly from: number;
  readonly to: number;
  readonly checksums: readonly number[];
}

interface Mark {
  readonly bit: number;
  readonly isEnd: boolean;
}

async function readStreams(reader: BodyReader): Promise<readonly Stream[]> {
  const marks = await findMarks(reader);
  const streams: Stream[] = [];
  let index = 0;
  for (let at = 0; ; ) {
    const from = 8 * at + headBits;
    while ((marks[index]?.bit ?? Infinity) < from) index += 1;
    if (marks[index]?.bit !== from) return streams;
    const checksums: number[] = [];
    let to = 8 * reader.size;
    let next = -1;
    for (; next === -1; index += 1) {
      const mark = marks[index];
      if (mark === undefined) break;
      if (index % hitsPerBreath === 0) await reader.breathe();
      if (!mark.isEnd) {
        checksums.push((await bitsAt(reader, mark.bit + markBits, checksumBits)) ?? 0);
        continue;
      }
      to = mark.bit;
      const behind = Math.ceil((mark.bit + markBits + checksumBits) / 8);
      // Packed bytes may look like the end of a stream, but hardly with another one behind it.
      if (behind >= reader.size || isBzip2Start(await reader.some(behind, startBytes))) next = behind;
    }
    if (checksums.length > 0) streams.push({ from, to, checksums });
    if (next === -1 || next >= reader.size) return streams;
    at = next;
  }
}

/** In order. */
async function findMarks(reader: BodyReader): Promise<readonly Mark[]> {
  const marks: Mark[] = [];
  let hits = 0;
  for await (const { at, bytes } of reader.pieces(overlapBytes)) {
    for (const { needle, isEnd, shift } of needles) {
      await reader.breathe();
      for (let index = bytes.indexOf(needle, 1); index !== -1; index = bytes.indexOf(needle, index + 1)) {
        hits += 1;
        if (hits % hitsPerBreath === 0) await reader.breathe();
        const first = index - 1;
        const wasSeen = at > 0 && 8 * first + shift + markBits <= 8 * overlapBytes;
        if (wasSeen || numberAt(bytes, 8 * first + shift, markBits) !== (isEnd ? endMark : blockMark)) continue;
        if (marks.length >= reader.maxEntries) throw new LimitReached("limit-files");
        marks.push({ bit: 8 * (at + first) + shift, isEnd });
      }
    }
  }
  return marks.toSorted((one, other) => one.bit - other.bit);
}

/** The bytes of a mark that are whole wherever it begins in a byte: the first is left out, as others may share it. */
const needles = [blockMark, endMark].flatMap((mark, index) =>
  Array.from({ length: 8 }, (_, shift) => {
    const shifted = Buffer.alloc(8);
    shifted.writeBigUInt64BE(mark << BigInt(8 * markBytes - markBits - shift + 8));
    return { needle: shifted.subarray(1, markBytes - 1), isEnd: index === 1, shift };
  }),
);

/** Null where the bytes end before. */
function numberAt(bytes: Buffer, bit: number, bits: number): bigint | null {
  const first = Math.floor(bit / 8);
  const last = Math.ceil((bit + bits) / 8);
  if (first < 0 || last > bytes.length) return null;
  let value = 0n;
  for (const byte of bytes.subarray(first, last)) value = (value << 8n) | BigInt(byte);
  return (value >> BigInt(8 * last - bit - bits)) & ((1n << BigInt(bits)) - 1n);
}

async function bitsAt(reader: BodyReader, bit: number, bits: number): Promise<number | null> {
  const first = Math.floor(bit / 8);
  const value = numberAt(await reader.some(first, Math.ceil((bit + bits) / 8) - first), bit - 8 * first, bits);
  return value === null ? null : Number(value);
}

async function* joined(reader: BodyReader, streams: readonly Stream[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.from("BZh9");
  const bits = new BitJoiner();
  let checksum = 0;
  for (const { from, to, checksums } of streams) {
    for (const one of checksums) checksum = ((checksum << 1) | (checksum >>> 31)) ^ one;
    const end = Math.ceil(to / 8);
    for await (const { at, bytes } of reader.pieces(0, from / 8, end)) {
      yield bits.append(bytes, Math.min(8 * bytes.length, to - 8 * at));
    }
  }
  const tail = Buffer.alloc(10);
  tail.writeBigUInt64BE(endMark << 16n);
  tail.writeUInt32BE(checksum >>> 0, 6);
  yield bits.append(tail, 8 * tail.length);
  yield bits.rest();
}

/** Bits one behind the other, whole bytes of them at a time. */
class BitJoiner {
  /** Its highest bits are those that wait for a whole byte. */
  #waiting = 0;
  #count = 0;

  append(bytes: Buffer, bits: number): Buffer {
    const written = Buffer.allocUnsafe(Math.floor((this.#count + bits) / 8));
    const shift = this.#count;
    let waiting = this.#waiting;
    for (let index = 0; index < written.length; index += 1) {
      const byte = bytes[index] ?? 0;
      written[index] = waiting | (byte >> shift);
      waiting = (byte << (8 - shift)) & 0xff;
    }
    const total = this.#count + bits;
    this.#count = total % 8;
    // The last byte may hold more bits than were waiting and were wanted.
    if (8 * written.length < shift + bits && written.length < bytes.length) waiting |= (bytes[written.length] ?? 0) >> shift;
    this.#waiting = this.#count === 0 ? 0 : waiting & (0xff << (8 - this.#count)) & 0xff;
    return written;
  }

  rest(): Buffer {
    return Buffer.from(this.#count === 0 ? [] : [this.#waiting]);
  }
}

/** File formats told by first and last bytes; where few bytes say little, by more than these. */

import { constants, inflateRawSync, inflateSync } from "node:zlib";
import type { FileFormat } from "../codec/file-format.ts";
import type { SpooledBody } from "../core/spool.ts";
import { isMakeself } from "./packages.ts";

/** How much of a body is looked at: an ext file system names itself behind 1080 bytes, a virtual disk 512 bytes before its end. */
const headBytes = 2048;
const tailBytes = 512;

/** Whether the body is of one of these formats. Rejects with what reading the body rejects with. */
export async function isOfFormat(body: SpooledBody, formats: readonly FileFormat[]): Promise<boolean> {
  const head = await bytesOf(body, 0, Math.min(headBytes, body.size));
  return areOfFormat({ head, tail: await bytesOf(body, Math.max(0, body.size - tailBytes), body.size) }, formats);
}

/** The first and last bytes of a body, as many as are known. */
export interface Ends {
  readonly head: Buffer;
  readonly tail: Buffer;
}

export function areOfFormat({ head, tail }: Ends, formats: readonly FileFormat[]): boolean {
  if (formats.length === 0) return false;
  // Zeros behind a short body are the number of no format.
  const ends = { head: Buffer.concat([head], headBytes), length: Math.min(head.length, headBytes), tail };
  return formats.some((format) => tellers[format](ends));
}

interface LongEnds extends Ends {
  /** Of the head without the zeros behind it. */
  readonly length: number;
}

type Tell = (ends: LongEnds) => boolean;

const sectorEnd = 510;
const superblock = 1024;

/** Formats that contain each other, as a Debian package and an ar file, are told as both. */
const tellers: Readonly<Record<FileFormat, Tell>> = {
  "7z": begins("7z\xbc\xaf\x27\x1c"),
  activemime: begins("ActiveMime"),
  appimage: both(begins("\x7fELF"), at(8, "AI\x02")),
  ar: begins("!<arch>\n"),
  arc: isArc,
  asar: both(begins("\x04\0\0\0"), at(16, '{"files"')),
  compress: both(begins("\x1f\x9d"), ({ head: [, , bits = 0] }) => (bits & 0x60) === 0 && isWithin(bits & 0x1f, 9, 16)),
  cramfs: begins("\x45\x3d\xcd\x28", "\x28\xcd\x3d\x45"),
  dar: both(begins("\0\0\0\x7b"), either(at(14, "N"), at(14, "T"))),
  deb: begins("!<arch>\ndebian-binary"),
  erofs: at(superblock, "\xe2\xe1\xf5\xe0"),
  ext: isExt,
  fat: both(at(sectorEnd, "\x55\xaa"), either(at(54, "FAT"), at(82, "FAT"))),
  git: begins("# v2 git bundle\n", "# v3 git bundle\n", "PACK\0\0\0\x02", "PACK\0\0\0\x03"),
  gpt: at(512, "EFI PART"),
  hfs: both(at(superblock, "BD"), ({ head }) => isMultiple(head.readUInt32BE(superblock + 20), 512)),
  lrzip: begins("LRZI"),
  lz4: begins("\x04\x22\x4d\x18", "\x02\x21\x4c\x18"),
  lzip: begins("LZIP"),
  lzma: isLzma,
  lzop: begins("\x89LZO\0\r\n\x1a\n"),
  makeself: ({ head }) => isMakeself(head),
  mbr: isPartitioned,
  nar: begins("\x0d\0\0\0\0\0\0\0nix-archive-1"),
  ntfs: at(3, "NTFS    "),
  openpgp: isCompressedMessage,
  pyinstaller: ({ tail }) => tail.includes(Buffer.from("MEI\x0c\x0b\x0a\x0b\x0e", "latin1")),
  qcow: begins("QFI\xfb"),
  qed: begins("QED\0"),
  rar: begins("Rar!\x1a\x07"),
  romfs: begins("-rom1fs-"),
  rpm: begins("\xed\xab\xee\xdb"),
  rzip: begins("RZIP"),
  snappy: begins("\xff\x06\0\0sNaPpY"),
  squashfs: begins("hsqs", "sqsh"),
  vdi: at(64, "\x7f\x10\xda\xbe"),
  vhd: either(begins("conectix"), ({ tail }) => tail.length === tailBytes && tail.toString("latin1", 0, 8) === "conectix"),
  vhdx: begins("vhdxfile"),
  vmdk: begins("KDMV"),
  warc: begins("WARC/1."),
  wim: begins("MSWIM\0\0\0"),
  xz: begins("\xfd7zXZ\0"),
  zchunk: begins("\0ZCK1"),
  zlib: both(begins("\x78\x01", "\x78\x5e", "\x78\x9c", "\x78\xda"), ({ head, length }) =>
    unpacks(() => inflateSync(head.subarray(0, length), beginning)),
  ),
  zpaq: begins("7kSt\xa0", "zPQ\x01", "zPQ\x02"),
  zstd: either(
    begins("\x28\xb5\x2f\xfd"),
    both(at(1, "\x2a\x4d\x18"), ({ head }) => isWithin(head[0] ?? 0, 0x50, 0x5f)),
  ),
};

function begins(...marks: readonly string[]): Tell {
  return either(...marks.map((mark) => at(0, mark)));
}

/** @param mark in Latin-1. */
function at(place: number, mark: string): Tell {
  return ({ head }) => head.toString("latin1", place, place + mark.length) === mark;
}

function both(one: Tell, other: Tell): Tell {
  return (ends) => one(ends) && other(ends);
}

function either(...tells: readonly Tell[]): Tell {
  return (ends) => tells.some((tell) => tell(ends));
}

function isWithin(value: number, from: number, to: number): boolean {
  return value >= from && value <= to;
}

function isMultiple(value: number, of: number): boolean {
  return value > 0 && value % of === 0;
}

/** A method, and a name in twelve characters and a zero. */
function isArc({ head }: LongEnds): boolean {
  return head[0] === 0x1a && isWithin(head[1] ?? 0, 1, 9) && /^[!-~]{1,12}\0/.test(head.toString("latin1", 2, 15));
}

/** State, behaviour on errors, maker and revision have few values (ext2 on disk, "Super Block"). */
function isExt({ head }: LongEnds): boolean {
  const field = (place: number) => head.readUInt16LE(superblock + place);
  return field(56) === 0xef53 && field(58) <= 7 && isWithin(field(60), 1, 3) && field(72) <= 4 && field(76) <= 1;
}

/** Properties, a dictionary of a usual size, and a length that is unknown or bearable; the first packed byte is always zero. */
function isLzma({ head, length }: LongEnds): boolean {
  const dictionary = head.readUInt32LE(1);
  const isUsual = Array.from({ length: 20 }, (_, index) => 2 ** (index + 12)).some(
    (size) => dictionary === size || dictionary === size * 1.5,
  );
  const unpacked = head.readBigUInt64LE(5);
  return length > 13 && head[0] === 0x5d && isUsual && (unpacked === 2n ** 64n - 1n || unpacked < 2n ** 38n) && head[13] === 0;
}

/** Of four entries all are active or not, and one is of a type and has sectors. */
function isPartitioned(ends: LongEnds): boolean {
  if (!at(sectorEnd, "\x55\xaa")(ends)) return false;
  const entries = [0, 1, 2, 3].map((index) => ends.head.subarray(446 + 16 * index, 462 + 16 * index));
  return (
    entries.every(([status]) => status === 0 || status === 0x80) &&
    entries.some((entry) => entry[4] !== 0 && entry.readUInt32LE(8) > 0 && entry.readUInt32LE(12) > 0)
  );
}

/** RFC 9580 §5.6: compressed data of unknown length, by ZIP, ZLIB or BZip2. */
function isCompressedMessage({ head, length }: LongEnds): boolean {
  if (head[0] !== 0xa3) return false;
  const data = head.subarray(2, length);
  switch (head[1]) {
    case 1:
      return unpacks(() => inflateRawSync(data, beginning));
    case 2:
      return unpacks(() => inflateSync(data, beginning));
    case 3:
      return data.toString("latin1", 0, 3) === "BZh";
  }
  return false;
}

/** What there is of it, without its end. */
const beginning = { finishFlush: constants.Z_SYNC_FLUSH };

function unpacks(unpack: () => Buffer): boolean {
  try {
    return unpack().length > 0;
  } catch {
    // It only looked like it.
    return false;
  }
}

async function bytesOf(body: SpooledBody, start: number, end: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body.read({ start, end })) pieces.push(piece);
  return Buffer.concat(pieces);
}

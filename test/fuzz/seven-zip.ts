/** 7z archives whose members are stored as they are (7zFormat.txt): enough to hide something in. */

import { crc32 } from "node:zlib";

export interface SevenZipMember {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function sevenZip(members: readonly SevenZipMember[]): Buffer {
  const sizes = Buffer.concat(members.map(({ bytes }) => number(bytes.length)));
  const sums = Buffer.concat(members.map(({ bytes }) => uint32(crc32(bytes))));
  const names = Buffer.concat(members.map(({ name }) => Buffer.from(`${name}\0`, "utf16le")));
  const header = Buffer.concat([
    Buffer.of(0x01, 0x04, 0x06, 0x00),
    number(members.length),
    Buffer.of(0x09),
    sizes,
    Buffer.of(0x00, 0x07, 0x0b),
    number(members.length),
    Buffer.of(0x00),
    // One folder each, of one coder: copy.
    Buffer.concat(members.map(() => Buffer.of(0x01, 0x01, 0x00))),
    Buffer.of(0x0c),
    sizes,
    Buffer.of(0x0a, 0x01),
    sums,
    Buffer.of(0x00, 0x08, 0x00, 0x00, 0x05),
    number(members.length),
    Buffer.of(0x11),
    number(names.length + 1),
    Buffer.of(0x00),
    names,
    Buffer.of(0x00, 0x00),
  ]);
  const packed = Buffer.concat(members.map(({ bytes }) => bytes));
  const start = Buffer.alloc(20);
  start.writeBigUInt64LE(BigInt(packed.length), 0);
  start.writeBigUInt64LE(BigInt(header.length), 8);
  start.writeUInt32LE(crc32(header), 16);
  return Buffer.concat([Buffer.from("377abcaf271c0004", "hex"), uint32(crc32(start)), start, packed, header]);
}

/** The format's own variable length; up to four bytes are enough here. */
function number(value: number): Buffer {
  if (value < 0x80) return Buffer.of(value);
  if (value < 0x4000) return Buffer.of(0x80 | (value >> 8), value & 0xff);
  if (value < 0x20_0000) return Buffer.of(0xc0 | (value >> 16), value & 0xff, (value >> 8) & 0xff);
  return Buffer.of(0xe0 | (value >> 24), value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

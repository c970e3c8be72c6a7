/** Zips in which every field may say what a test wants (APPNOTE.TXT 4.3). */

import { crc32, deflateRawSync } from "node:zlib";

export interface Headers {
  readonly flags: number;
  readonly method: number;
  readonly packedSize: number;
  readonly size: number;
  readonly extra: Uint8Array;
}

export interface MadeEntry {
  readonly name?: string;
  readonly bytes?: Uint8Array;
  /** Sizes behind the data, and none in the local header. */
  readonly hasDescriptor?: boolean;
  readonly local?: Partial<Headers>;
  readonly central?: Partial<Headers> & { readonly offset?: number };
  /** In place of the deflated bytes. */
  readonly packed?: Uint8Array;
}

export interface MadeEnd {
  readonly entries: number;
  readonly size: number;
  readonly offset: number;
}

export interface MadeZip {
  readonly front?: Uint8Array;
  /** Whether offsets count from the beginning of the file, what stands in front included. */
  readonly countsFront?: boolean;
  /** Behind the entries, before the directory. */
  readonly gap?: Uint8Array;
  readonly end?: Partial<MadeEnd>;
  readonly comment?: Uint8Array;
  readonly behind?: Uint8Array;
  readonly isZip64?: boolean;
}

export const noBytes = new Uint8Array();
export const harmless = Buffer.from("no harm in this\n".repeat(30));

export function madeZip(entries: readonly MadeEntry[], zip: MadeZip = {}): Buffer {
  const { front = noBytes, countsFront = false, gap = noBytes, comment = noBytes, behind = noBytes, isZip64 = false } = zip;
  const locals: Uint8Array[] = [];
  const centrals: Uint8Array[] = [];
  let at = countsFront ? front.length : 0;
  for (const {
    name = "a.txt",
    bytes = harmless,
    hasDescriptor = false,
    packed = deflateRawSync(bytes),
    local,
    central,
  } of entries) {
    const common = { flags: hasDescriptor ? 8 : 0, method: 8, extra: noBytes };
    const sizes = { packedSize: packed.length, size: bytes.length };
    const crc = crc32(bytes);
    const known = hasDescriptor ? { packedSize: 0, size: 0 } : sizes;
    const [first, second] = [
      { ...common, ...known, ...local },
      { ...common, ...sizes, offset: at, ...central },
    ];
    const descriptor = hasDescriptor ? record("PK\x07\x08", [4, crc], [4, packed.length], [4, bytes.length]) : noBytes;
    const nameBytes = Buffer.from(name);
    const written = [
      record("PK\x03\x04", [2, 20], ...fieldsOf(first, hasDescriptor ? 0 : crc, nameBytes)),
      nameBytes,
      first.extra,
      packed,
      descriptor,
    ];
    locals.push(...written);
    const fields = fieldsOf(second, crc, nameBytes);
    centrals.push(record("PK\x01\x02", [2, 20], [2, 20], ...fields, [2, 0], [2, 0], [2, 0], [4, 0], [4, second.offset]));
    centrals.push(nameBytes, second.extra);
    at += written.reduce((sum, { length }) => sum + length, 0);
  }
  const directory = Buffer.concat(centrals);
  const start = at + gap.length;
  const end = { entries: entries.length, size: directory.length, offset: start, ...zip.end };
  const longEnd = isZip64 ? [zip64End(end, start + directory.length)] : [];
  const shortEnd = isZip64 ? { entries: 0xffff, size: 0xffff_ffff, offset: 0xffff_ffff } : end;
  return Buffer.concat([front, ...locals, gap, directory, ...longEnd, endRecord(shortEnd, comment.length), comment, behind]);
}

export function endRecord({ entries, size, offset }: MadeEnd, commentBytes = 0): Buffer {
  return record("PK\x05\x06", [2, 0], [2, 0], [2, entries], [2, entries], [4, size], [4, offset], [2, commentBytes]);
}

function zip64End({ entries, size, offset }: MadeEnd, at: number): Buffer {
  return Buffer.concat([
    record("PK\x06\x06", [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, entries], [8, entries], [8, size], [8, offset]),
    record("PK\x06\x07", [4, 0], [8, at], [4, 1]),
  ]);
}

/** The zip64 field. */
export function longSizes(...values: readonly number[]): Buffer {
  return record("", [2, 1], [2, values.length * 8], ...values.map((value) => [8, value] as const));
}

function fieldsOf(headers: Headers, crc: number, name: Uint8Array): readonly (readonly [number, number])[] {
  const { flags, method, packedSize, size, extra } = headers;
  return [
    [2, flags],
    [2, method],
    [4, 0x5a21_0000],
    [4, crc],
    [4, packedSize],
    [4, size],
    [2, name.length],
    [2, extra.length],
  ];
}

/** Numbers of so many bytes, lowest first. */
function record(signature: string, ...fields: readonly (readonly [bytes: number, value: number])[]): Buffer {
  const written = Buffer.alloc(signature.length + fields.reduce((sum, [bytes]) => sum + bytes, 0));
  let at = written.write(signature, "latin1");
  for (const [bytes, value] of fields) {
    for (let index = 0; index < bytes; index += 1) written[at + index] = Math.floor(value / 256 ** index);
    at += bytes;
  }
  return written;
}

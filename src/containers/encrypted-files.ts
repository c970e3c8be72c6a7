/** Encryption that clamd says nothing of, told by the directories of OLE2, ARJ and RAR files, and by the manifest of an OpenDocument. */

import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import { LimitReached } from "../core/look-inside.ts";
import type { Unscannable } from "../core/verdict.ts";
import type { BodyReader } from "./body-reader.ts";
import { finding } from "./finding.ts";
import type { Entry } from "./zip/zip-entries.ts";

const package_ = Buffer.from("EncryptedPackage", "utf16le");
const entryBytes = 128;
const streamType = 2;

/**
 * An encrypted Office document (MS-OFFCRYPTO 2.3.4.4). Entries of directories stand at multiples of their length (MS-CFB 2.6), wherever a
 * chain of sectors has them: to look at all of these places is as sure as to follow the chains, and cannot be led in circles.
 */
export async function inspectOle2(reader: BodyReader): Promise<Unscannable | null> {
  for await (const { at, bytes } of reader.pieces(entryBytes)) {
    for (let index = bytes.indexOf(package_); index !== -1; index = bytes.indexOf(package_, index + 1)) {
      if ((at + index) % entryBytes !== 0 || index + entryBytes > bytes.length) continue;
      const isEntry = bytes.readUInt16LE(index + 64) === package_.length + 2 && bytes[index + 66] === streamType;
      if (isEntry) return finding("Encrypted.Office");
    }
  }
  return null;
}

const arjSignature = 0xea60;
const garbled = 1;

/** unarj's technote.txt: a header for the archive, and one before each member. */
export async function inspectArj(reader: BodyReader): Promise<Unscannable | null> {
  let at = 0;
  for (let member = 0; member <= reader.maxEntries; member += 1) {
    const header = await reader.exactly(at, 20);
    if (header?.readUInt16LE(0) !== arjSignature) return null;
    const size = header.readUInt16LE(2);
    if (size === 0) return null;
    if (((header[8] ?? 0) & garbled) !== 0) return finding("Encrypted.Arj");
    at += 4 + size + 4;
    for (let extended = await extendedBytes(reader, at); ; extended = await extendedBytes(reader, at)) {
      at += 2;
      if (extended === 0) break;
      at += extended + 4;
    }
    if (member > 0) at += header.readUInt32LE(16);
  }
  throw new LimitReached("limit-files");
}

async function extendedBytes(reader: BodyReader, at: number): Promise<number> {
  return (await reader.exactly(at, 2))?.readUInt16LE(0) ?? 0;
}

const rar4 = {
  main: 0x73,
  file: 0x74,
  hasData: 0x8000,
  isLong: 0x0100,
  areHeadersEncrypted: 0x0080,
  isEncrypted: 0x0004,
} as const;

/** RAR 1.5 to 4.x (technote.txt): its headers, or those of members. Where a clamd opens RAR it says so itself. */
export async function inspectRar4(reader: BodyReader): Promise<Unscannable | null> {
  let at = 7;
  for (let block = 0; block <= reader.maxEntries; block += 1) {
    const header = await reader.some(at, 36);
    if (header.length < 7) return null;
    const type = header[2];
    const flags = header.readUInt16LE(3);
    const size = header.readUInt16LE(5);
    if (type === rar4.main && (flags & rar4.areHeadersEncrypted) !== 0) return finding("Encrypted.Rar");
    if (type === rar4.file && (flags & rar4.isEncrypted) !== 0) return finding("Encrypted.Rar");
    if (size < 7) return null;
    const isLong = type === rar4.file && (flags & rar4.isLong) !== 0 && header.length === 36;
    const hasData = (flags & rar4.hasData) !== 0 && header.length >= 11;
    at += size + (hasData ? header.readUInt32LE(7) : 0) + (isLong ? header.readUInt32LE(32) * 2 ** 32 : 0);
  }
  throw new LimitReached("limit-files");
}

const rar5 = { file: 2, service: 3, encryption: 4, end: 5, hasExtra: 1, hasData: 2, encryptionRecord: 1 } as const;
const maxRar5HeaderBytes = 2 * 1024 * 1024;

/** RAR 5 (technote.txt). */
export async function inspectRar5(reader: BodyReader): Promise<Unscannable | null> {
  let at = 8;
  for (let block = 0; block <= reader.maxEntries; block += 1) {
    const start = new Numbers(await reader.some(at + 4, 16));
    const size = start.next();
    if (size === null || size === 0) return null;
    if (size > maxRar5HeaderBytes) throw new LimitReached("limit-size");
    const header = new Numbers(await reader.some(at + 4 + start.at, size));
    const type = header.next();
    const flags = header.next();
    if (type === null || flags === null) return null;
    if (type === rar5.encryption) return finding("Encrypted.Rar");
    const extraBytes = (flags & rar5.hasExtra) === 0 ? 0 : header.next();
    const dataBytes = (flags & rar5.hasData) === 0 ? 0 : header.next();
    if (extraBytes === null || dataBytes === null) return null;
    if (type === rar5.file && hasEncryptionRecord(header.last(extraBytes))) return finding("Encrypted.Rar");
    if (type === rar5.end) return null;
    at += 4 + start.at + size + dataBytes;
  }
  throw new LimitReached("limit-files");
}

function hasEncryptionRecord(extra: Buffer): boolean {
  const numbers = new Numbers(extra);
  for (let size = numbers.next(); size !== null && size > 0; size = numbers.next()) {
    const end = numbers.at + size;
    if (numbers.next() === rar5.encryptionRecord) return true;
    numbers.at = end;
  }
  return false;
}

/** RAR 5's numbers: seven bits a byte, lowest first. */
class Numbers {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Null where the bytes end before. */
  next(): number | null {
    let value = 0;
    for (let index = 0; index < 10; index += 1) {
      const byte = this.#bytes[this.at];
      if (byte === undefined) return null;
      this.at += 1;
      value += (byte & 0x7f) * 128 ** index;
      if (byte < 0x80) return value;
    }
    return null;
  }

  last(length: number): Buffer {
    return this.#bytes.subarray(Math.max(0, this.#bytes.length - length));
  }
}

const inflate = promisify(inflateRaw);
const manifestName = Buffer.from("META-INF/manifest.xml");
const element = "encryption-data";
/** XML may come in any of these. */
const spellings = [Buffer.from(element), Buffer.from(element, "utf16le"), Buffer.from(element, "utf16le").swap16()];
/** Of a text of thousands of names. */
const maxPackedBytes = 1024 * 1024;
const maxBytes = 4 * maxPackedBytes;

/** Whether the entry is a manifest that says that parts of the file are encrypted (OpenDocument 1.2 part 3, 3.4). Rejects with LimitReached. */
export async function isEncryptedManifest(reader: BodyReader, { name, dataAt, method, packedSize }: Entry): Promise<boolean> {
  if (!name.equals(manifestName) || (method !== 0 && method !== 8)) return false;
  if (packedSize > maxPackedBytes) throw new LimitReached("limit-size");
  const packed = await reader.some(dataAt, packedSize);
  const manifest = method === 0 ? packed : await inflated(packed);
  return spellings.some((spelling) => manifest.includes(spelling));
}

/** As much as can be unpacked: what no reader gets either is not looked for. */
async function inflated(packed: Buffer): Promise<Buffer> {
  try {
    return await inflate(packed, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") throw new LimitReached("limit-size");
    return Buffer.alloc(0);
  }
}

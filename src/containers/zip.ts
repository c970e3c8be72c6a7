/** What of a zip clamd does not look into: one walk over its directory and the headers that the directory points to (APPNOTE.TXT 4.3). */

import { together, type Unscannable } from "../core/verdict.ts";
import { type BodyReader, LimitReached } from "./body-reader.ts";
import { finding } from "./finding.ts";
import { holdsEncryptedDocument } from "./open-document.ts";
import type { ZipDirectory } from "./zip-end.ts";

const localSignature = 0x04034b50;
const centralSignature = 0x02014b50;
const localBytes = 30;
const centralBytes = 46;
const unknownSize = 0xffff_ffff;
/** Stored, imploded, deflate, deflate64, bzip2: what clamd 1.4 unpacks. */
const methods = new Set([0, 6, 8, 9, 12]);
const aesMethod = 99;
const encryptedFlag = 1;
const descriptorFlag = 8;
const maskedFlag = 0x2000;
/** The most that may stand between an entry's data and the next entry: a descriptor with signature and long sizes. */
const longestDescriptorBytes = 24;

export interface ZipPlace {
  readonly directory: ZipDirectory;
  /** Whether the body begins as a zip: otherwise clamd comes upon it by its local headers, without the directory. */
  readonly isWhole: boolean;
}

interface Entry {
  readonly flags: number;
  readonly method: number;
  readonly packedSize: number;
  readonly size: number;
  readonly localAt: number;
  /** Whether a size of it is in the zip64 field alone. */
  readonly isLong: boolean;
  readonly isManifest: boolean;
}

/** Rejects with LimitReached. */
export async function inspectZip(reader: BodyReader, { directory, isWhole }: ZipPlace): Promise<Unscannable | null> {
  const shift = directory.start - directory.writtenStart;
  if (isWhole && shift !== 0) return finding("Zip.Directory");
  if (shift < 0) return finding("Zip.Directory");
  const readsDirectory = isWhole && directory.isPlain;
  const extents = new Extents();
  let worst: Unscannable | null = null;
  let count = 0;
  let at = directory.start;
  for (; at < directory.end; count += 1) {
    if (count >= reader.maxEntries) throw new LimitReached("limit-files");
    const header = await reader.exactly(at, centralBytes);
    if (header?.readUInt32LE(0) !== centralSignature) break;
    const nameBytes = header.readUInt16LE(28);
    const extraBytes = header.readUInt16LE(30);
    const entry = readCentral(header, await reader.some(at + centralBytes, nameBytes + extraBytes));
    at += centralBytes + nameBytes + extraBytes + header.readUInt16LE(32);

    if (entry.localAt === unknownSize) return finding("Zip.Zip64");
    const localAt = entry.localAt + shift;
    const local = await reader.exactly(localAt, localBytes);
    if (local?.readUInt32LE(0) !== localSignature) return finding("Zip.Headers");
    worst = together(worst, judge(entry, local, readsDirectory));
    if (worst?.reason === "unsupported") return worst;
    const dataAt = localAt + localBytes + local.readUInt16LE(26) + local.readUInt16LE(28);
    if (dataAt + entry.packedSize > directory.start) return finding("Zip.Headers");
    extents.add(localAt, dataAt + entry.packedSize);
    const { method, packedSize } = entry;
    if (entry.isManifest && (await holdsEncryptedDocument(reader, { at: dataAt, method, packedSize })))
      worst = together(worst, finding("Encrypted.OpenDocument"));
  }
  if (at !== directory.end || count % directory.countsUpTo !== directory.entries) return finding("Zip.Directory");
  return isWhole ? together(worst, await inspectUnlisted(reader, extents, directory.start)) : worst;
}

/**
 * Entries that the directory does not name: who reads a zip as it comes takes them out all the same. clamd finds them by their headers.
 */
async function inspectUnlisted(reader: BodyReader, extents: Extents, end: number): Promise<Unscannable | null> {
  let worst: Unscannable | null = null;
  let at = 0;
  for (const extent of [...extents.inOrder(), { start: end, end }]) {
    while (at < extent.start) {
      const between = await reader.some(at, Math.min(extent.start - at, longestDescriptorBytes + 4));
      const index = between.indexOf("PK\x03\x04", 0, "latin1");
      const local = index === -1 ? null : await reader.exactly(at + index, localBytes);
      if (local === null) break;
      worst = together(worst, judgeUnlisted(local));
      if (worst?.reason === "unsupported") return worst;
      at += index + localBytes + local.readUInt16LE(26) + local.readUInt16LE(28) + local.readUInt32LE(18);
    }
    at = Math.max(at, extent.end);
  }
  return worst;
}

function judgeUnlisted(local: Buffer): Unscannable | null {
  const flags = local.readUInt16LE(6);
  const method = local.readUInt16LE(8);
  const isEncrypted = (flags & encryptedFlag) !== 0;
  if ((flags & maskedFlag) !== 0) return finding("Encrypted.Zip");
  if (!methods.has(method) && !(isEncrypted && method === aesMethod)) return finding("Zip.Method");
  if ((flags & descriptorFlag) !== 0) return finding("Zip.Descriptor");
  if (local.readUInt32LE(18) === unknownSize) return finding("Zip.Zip64");
  return isEncrypted ? finding("Encrypted.Zip") : null;
}

/** Where entries begin and end: mostly in order already. */
class Extents {
  readonly #all: { readonly start: number; readonly end: number }[] = [];
  #isOrdered = true;

  add(start: number, end: number): void {
    this.#isOrdered &&= start >= (this.#all.at(-1)?.start ?? 0);
    this.#all.push({ start, end });
  }

  inOrder(): readonly { readonly start: number; readonly end: number }[] {
    return this.#isOrdered ? this.#all : this.#all.toSorted((one, other) => one.start - other.start);
  }
}

function readCentral(header: Buffer, variable: Buffer): Entry {
  const nameBytes = header.readUInt16LE(28);
  const long = longValues(variable.subarray(nameBytes));
  const written = [header.readUInt32LE(24), header.readUInt32LE(20)] as const;
  const [size, packedSize] = written.map((value) => (value === unknownSize ? (long.shift() ?? unknownSize) : value));
  return {
    flags: header.readUInt16LE(8),
    method: header.readUInt16LE(10),
    size: size ?? unknownSize,
    packedSize: packedSize ?? unknownSize,
    localAt: header.readUInt32LE(42),
    isLong: written.includes(unknownSize),
    isManifest: variable.toString("latin1", 0, nameBytes) === "META-INF/manifest.xml",
  };
}

/** Of the zip64 field (APPNOTE.TXT 4.5.3): sizes first, as far as the header leaves them out. */
function longValues(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const field = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    return Array.from({ length: Math.floor(field.length / 8) }, (_, index) => Number(field.readBigUInt64LE(index * 8)));
  }
  return [];
}

/** clamd goes by the local header; other readers by the directory. */
function judge(entry: Entry, local: Buffer, readsDirectory: boolean): Unscannable | null {
  const flags = local.readUInt16LE(6);
  const method = local.readUInt16LE(8);
  const packedSize = local.readUInt32LE(18);
  const size = local.readUInt32LE(22);
  if (((flags ^ entry.flags) & (encryptedFlag | maskedFlag)) !== 0) return finding("Zip.Headers");
  if (method !== entry.method) return finding("Zip.Headers");
  if ((flags & maskedFlag) !== 0) return finding("Encrypted.Zip");
  const isEncrypted = (flags & encryptedFlag) !== 0;
  if (!methods.has(method) && !(isEncrypted && method === aesMethod)) return finding("Zip.Method");
  if ((flags & descriptorFlag) !== 0) {
    if (!readsDirectory) return finding("Zip.Descriptor");
    if (entry.isLong) return finding("Zip.Zip64");
  } else {
    if (packedSize === unknownSize) return finding("Zip.Zip64");
    if (packedSize !== entry.packedSize || (size !== unknownSize && size !== entry.size)) return finding("Zip.Headers");
  }
  return isEncrypted ? finding("Encrypted.Zip") : null;
}

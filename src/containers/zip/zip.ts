/**
 * What of a zip clamd does not look into: one walk over its directory and the headers that the directory points to (APPNOTE.TXT 4.3). What
 * it cannot read for the way it is written is written anew.
 */

import { together, type Unscannable } from "../../core/verdict.ts";
import type { BodyReader } from "../body-reader.ts";
import { isEncryptedManifest } from "../encrypted-files.ts";
import { finding } from "../finding.ts";
import { headBytes } from "../kind.ts";
import { startBytes, Unpacking, unpackedStart } from "../unpacking.ts";
import type { ZipDirectory } from "./zip-end.ts";
import { copyOfZip, descriptorFlag, type Entry, localMark, readEntries, unknownSize } from "./zip-entries.ts";

const localBytes = 30;
/** Stored, imploded, deflate, deflate64, bzip2: what clamd 1.4 unpacks. */
const methods = new Set([0, 6, 8, 9, 12]);
const aesMethod = 99;
const encryptedFlag = 1;
const maskedFlag = 0x2000;
/** The most that may stand between an entry's data and the next entry: a descriptor with signature and long sizes. */
const longestDescriptorBytes = 24;

export interface ZipPlace {
  readonly directory: ZipDirectory;
  /** Whether the body begins as a zip: otherwise clamd comes upon it by its local headers, without the directory. */
  readonly isWhole: boolean;
}

/** Rejects with LimitReached. */
export async function inspectZip(reader: BodyReader, { directory, isWhole }: ZipPlace): Promise<Unscannable | null> {
  const front = directory.start - directory.writtenStart;
  if (front < 0) return finding("Zip.Directory");
  const isSecond = isWhole && front > 0;
  if (isSecond && (await reader.some(front, 4)).toString("latin1") !== localMark) return finding("Zip.Directory");
  if (isSecond) await reader.handOver({ isScanned: false, read: () => reader.range(0, front) });
  const readsDirectory = isWhole && directory.isPlain;
  const extents = new Extents();
  let isUnread = isSecond;
  let worst: Unscannable | null = null;
  let count = 0;
  let at = directory.start;
  for await (const entry of readEntries(reader, directory)) {
    count += 1;
    at = entry.nextAt;
    worst = together(worst, judge(entry));
    const dataEnd = entry.dataAt + entry.packedSize;
    if (dataEnd > directory.start) worst = together(worst, finding("Zip.Headers"));
    if (worst?.reason === "unsupported") return worst;
    extents.add(entry.localAt, dataEnd);
    isUnread ||= !isReadByClamd(entry, readsDirectory);
    if (await isEncryptedManifest(reader, entry)) worst = together(worst, finding("Encrypted.OpenDocument"));
    else if (!isUnread) await openEntry(reader, entry);
  }
  if (at !== directory.end || count % directory.countsUpTo !== directory.entries) return finding("Zip.Directory");
  if (isUnread) await reader.handOver({ isScanned: false, read: () => copyOfZip(reader, directory) });
  return isWhole && !isSecond ? together(worst, await inspectUnlisted(reader, extents, directory.start)) : worst;
}

/** Has what is in it looked at where that is worth it. */
async function openEntry(reader: BodyReader, { flags, method, size, packedSize, dataAt }: Entry): Promise<void> {
  if ((flags & encryptedFlag) !== 0 || size === 0 || packedSize === 0) return;
  if (method !== 0 && method !== 8) return;
  const packing = method === 0 ? "stored" : "deflate";
  const start = await reader.some(dataAt, Math.min(packedSize, packing === "stored" ? headBytes : startBytes));
  if (!reader.isWorthALook(packing === "stored" ? start : unpackedStart(packing, start))) return;
  const unpacking = new Unpacking(reader, { packing, from: dataAt, to: dataAt + packedSize });
  await reader.handOver({ isScanned: true, read: () => unpacking.read() });
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
      const index = between.indexOf(localMark, 0, "latin1");
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

/** Some readers go by the local header, as clamd does, others by the directory. */
function judge(entry: Entry): Unscannable | null {
  const { local, flags, method } = entry;
  if (local === null || local.method !== method) return finding("Zip.Headers");
  if (((flags ^ local.flags) & (encryptedFlag | maskedFlag)) !== 0) return finding("Zip.Headers");
  if ((flags & maskedFlag) !== 0) return finding("Encrypted.Zip");
  const isEncrypted = (flags & encryptedFlag) !== 0;
  if (!methods.has(method) && !(isEncrypted && method === aesMethod)) return finding("Zip.Method");
  const hasSizes = (local.flags & descriptorFlag) === 0;
  if (hasSizes && (local.packedSize !== entry.packedSize || (local.size !== unknownSize && local.size !== entry.size)))
    return finding("Zip.Headers");
  return isEncrypted ? finding("Encrypted.Zip") : null;
}

/** clamd takes sizes that stand behind the data from the directory, where it reads that, and long ones from nowhere. */
function isReadByClamd({ local, isLong, isLocalAtLong }: Entry, readsDirectory: boolean): boolean {
  if (local === null || isLocalAtLong) return false;
  const hasSizes = (local.flags & descriptorFlag) === 0;
  return hasSizes ? !local.isPackedSizeLong : readsDirectory && !isLong;
}

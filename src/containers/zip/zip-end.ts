/** The end record of a zip, and the directory that it points to (APPNOTE.TXT 4.3.14 to 4.3.16). */

import type { BodyReader } from "../body-reader.ts";

export interface ZipDirectory {
  readonly kind: "directory";
  /** Where its end record stands. */
  readonly at: number;
  /** Where its first and behind its last entry. */
  readonly start: number;
  readonly end: number;
  /** How many entries the end record counts: from as many as `countsUpTo` on it begins anew. */
  readonly entries: number;
  readonly countsUpTo: number;
  /** Where the end record has the directory to begin. */
  readonly writtenStart: number;
  /** Whether the first end record says so, which is the one that clamd reads. */
  readonly isPlain: boolean;
  /** Bytes behind the comment; fewer than none where the comment is cut, which some readers do not mind. */
  readonly trailing: number;
}

/** ambiguous: another end record fits as well, or one says two things; unfit: there is a record, and no directory where it says. */
export type ZipEnd = ZipDirectory | { readonly kind: "ambiguous" | "unfit"; readonly at: number } | { readonly kind: "none" };

const signature = Buffer.from("PK\x05\x06", "latin1");
const entrySignature = Buffer.from("PK\x01\x02", "latin1");
const recordBytes = 22;
const locatorBytes = 20;
const longRecordBytes = 56;
export const longestTailBytes = recordBytes + 0xffff;

/** Readers search from behind: the last record is the one that most take, and clamd too. */
export async function findZipEnd(reader: BodyReader): Promise<ZipEnd> {
  const tailAt = Math.max(0, reader.size - longestTailBytes);
  const tail = await reader.some(tailAt, longestTailBytes);
  const last = tail.lastIndexOf(signature);
  if (last === -1) return { kind: "none" };
  // Some readers take the record whose comment ends with the file.
  for (let at = tail.indexOf(signature); at !== -1 && at < last; at = tail.indexOf(signature, at + 1)) {
    if (at + recordBytes <= tail.length && at + recordBytes + tail.readUInt16LE(at + 20) === tail.length)
      return { kind: "ambiguous", at: tailAt + last };
  }
  if (last + recordBytes > tail.length) return { kind: "unfit", at: tailAt + last };
  const trailing = tail.length - last - recordBytes - tail.readUInt16LE(last + 20);
  const record = {
    at: tailAt + last,
    entries: tail.readUInt16LE(last + 10),
    size: tail.readUInt32LE(last + 12),
    start: tail.readUInt32LE(last + 16),
  };
  const end = await directoryOf(reader, record);
  return end.kind === "directory" ? { ...end, trailing } : end;
}

interface Record {
  readonly at: number;
  readonly entries: number;
  readonly size: number;
  readonly start: number;
}

async function directoryOf(reader: BodyReader, record: Record): Promise<ZipEnd> {
  const long = await longRecord(reader, record.at);
  if (long === "broken") return { kind: "unfit", at: record.at };
  if (long === "ambiguous") return { kind: "ambiguous", at: record.at };
  if (long !== null) {
    const differs =
      (record.entries !== 0xffff && record.entries !== long.entries) ||
      (record.size !== 0xffff_ffff && record.size !== long.size) ||
      (record.start !== 0xffff_ffff && record.start !== long.start);
    if (differs) return { kind: "ambiguous", at: record.at };
  }
  const { at: end, entries, size, start: writtenStart } = long ?? record;
  const start = end - size;
  if (start < 0 || (size === 0 && entries > 0)) return { kind: "unfit", at: record.at };
  if (size > 0 && !(await reader.some(start, 4)).equals(entrySignature)) return { kind: "unfit", at: record.at };
  const isPlain = record.start === start;
  const countsUpTo = long === null ? 0x1_0000 : Number.MAX_SAFE_INTEGER;
  return { kind: "directory", at: record.at, start, end, entries, countsUpTo, writtenStart, isPlain, trailing: 0 };
}

/** ambiguous: readers that go by its place and those that go by the locator find two. */
async function longRecord(reader: BodyReader, shortAt: number): Promise<Record | "broken" | "ambiguous" | null> {
  const locator = await reader.exactly(shortAt - locatorBytes, locatorBytes);
  if (locator === null || locator.toString("latin1", 0, 4) !== "PK\x06\x07") return null;
  // Where something stands before the zip, its own count of bytes does not hold.
  const pointed = await longRecordAt(reader, Number(locator.readBigUInt64LE(8)), shortAt);
  const adjacent = await longRecordAt(reader, shortAt - locatorBytes - longRecordBytes, shortAt);
  if (pointed !== null && adjacent !== null && pointed.at !== adjacent.at) return "ambiguous";
  return pointed ?? adjacent ?? "broken";
}

async function longRecordAt(reader: BodyReader, at: number, shortAt: number): Promise<Record | null> {
  const record = at <= shortAt ? await reader.exactly(at, longRecordBytes) : null;
  if (record === null || record.toString("latin1", 0, 4) !== "PK\x06\x06") return null;
  const [entries = 0, size = 0, start = 0] = [32, 40, 48].map((field) => Number(record.readBigUInt64LE(field)));
  return { at, entries, size, start };
}

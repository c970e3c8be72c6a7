/** What a body holds that clamd does not open: by its first bytes and its last, its directories are read. */

import { isTarHeader } from "../codec/tar-header.ts";
import type { Clock } from "../core/clock.ts";
import type { Inspect } from "../core/look-inside.ts";
import { together, type Unscannable } from "../core/verdict.ts";
import { BodyReader, createTurns, LimitReached, type ReadingLimits } from "./body-reader.ts";
import { gzipEnd, tarEnd } from "./compressed-end.ts";
import { inspectArj, inspectOle2, inspectRar4, inspectRar5 } from "./encrypted-files.ts";
import { inspectMessage, inspectOpenPgp, isCmsEnvelope } from "./encrypted-messages.ts";
import { finding } from "./finding.ts";
import { inspectPdf, pdfMark, pdfSearchBytes } from "./pdf.ts";
import { inspectSevenZip, isSevenZipStart, sevenZipSignature, sevenZipStartBytes } from "./seven-zip.ts";
import { inspectZip } from "./zip.ts";
import { findZipEnd, longestTailBytes, type ZipDirectory, type ZipEnd } from "./zip-end.ts";

const headBytes = 1088;
/** OLE2, cpio, cab, ARJ, xar. */
const unpacked = ["\xd0\xcf\x11\xe0", "070701", "070702", "070707", "\xc7q", "q\xc7", "MSCF", "\x60\xea", "xar!"];
const isoMark = "\x01CD001";
const isoAt = 32_768;
const hitsPerBreath = 256;
const endSignature = Buffer.from("PK\x05\x06", "latin1");

export function createInspect({ clock, ...limits }: ReadingLimits & { readonly clock: Clock }): Inspect {
  const nextTurn = createTurns();
  return (body, signal) => {
    const { bytes } = body;
    if (bytes !== null && !maybeHolds(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))) return null;
    return inspect(new BodyReader(body, { ...limits, clock, signal, nextTurn }));
  };
}

type Kind =
  | "zip"
  | "split-zip"
  | "fronted-zip"
  | "7z"
  | "gzip"
  | "tar"
  | "ole2"
  | "arj"
  | "rar4"
  | "rar5"
  | "cms"
  | "openpgp"
  | "pdf"
  | "message";

const marks: readonly (readonly [Kind, string])[] = [
  ["zip", "PK\x03\x04"],
  ["split-zip", "PK\x07\x08PK\x03\x04"],
  ["fronted-zip", "PK00PK\x03\x04"],
  ["7z", sevenZipSignature.toString("latin1")],
  ["gzip", "\x1f\x8b"],
  ["ole2", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"],
  ["arj", "\x60\xea"],
  ["rar4", "Rar!\x1a\x07\0"],
  ["rar5", "Rar!\x1a\x07\x01\0"],
];

/** One body may be of several kinds. */
function kindsOf(head: Buffer): readonly Kind[] {
  const kinds: Kind[] = [];
  const start = head.toString("latin1", 0, 8);
  for (const [kind, mark] of marks) if (start.startsWith(mark)) kinds.push(kind);
  const first = head[0] ?? 0;
  if (first === 0x30 && isCmsEnvelope(head)) kinds.push("cms");
  if (first >= 0x80 && [1, 3].includes(first < 0xc0 ? (first >> 2) & 0x0f : first & 0x3f)) kinds.push("openpgp");
  if (head.subarray(0, pdfSearchBytes + pdfMark.length).includes(pdfMark)) kinds.push("pdf");
  if (isTarHeader(head)) kinds.push("tar");
  if (isMessage(head)) kinds.push("message");
  return kinds;
}

const firstLine = /^(?:\xef\xbb\xbf)?\s*(?:From |-----BEGIN |[!-9;-~]{1,76}:)/;
const knownHeader =
  /(?:^|\n)(?:-----BEGIN (?:PGP MESSAGE|PKCS7|CMS)-----|(?:MIME-Version|Content-Type|From|To|Subject|Date|Received|Return-Path|Message-ID|Delivered-To):)/i;

function isMessage(head: Buffer): boolean {
  const text = head.toString("latin1", 0, 1024);
  return firstLine.test(text) && knownHeader.test(text);
}

function maybeHolds(bytes: Buffer): boolean {
  return (
    kindsOf(bytes.subarray(0, headBytes)).length > 0 ||
    bytes.subarray(Math.max(0, bytes.length - longestTailBytes)).includes(endSignature)
  );
}

/** Rejects as `Inspect` does. */
async function inspect(reader: BodyReader): Promise<Unscannable | null> {
  let worst: Unscannable | null = null;
  try {
    const kinds = kindsOf(await reader.some(0, headBytes));
    const end = await findZipEnd(reader);
    for (const kind of kinds) {
      worst = together(worst, await inspectKind(reader, kind, end));
      if (worst?.reason === "unsupported") return worst;
    }
    const isFollowed = kinds.some((kind) => ["zip", "split-zip", "gzip", "tar"].includes(kind));
    if (!isFollowed && end.kind === "ambiguous") return finding("Zip.TwoDirectories");
    if (!isFollowed && end.kind === "directory" && (await isAttached(reader, end))) {
      worst = together(worst, await inspectZip(reader, { directory: end, isWhole: false }));
    }
    return worst;
  } catch (error) {
    if (error instanceof LimitReached) return together(worst, error.finding);
    throw error;
  }
}

/** What clamd unpacks itself may hold a zip as it is, which it comes upon then; more of the outer file follows that. */
async function isAttached(reader: BodyReader, { trailing, start: from, end }: ZipDirectory): Promise<boolean> {
  if (from === end || trailing <= 0) return from < end;
  const start = (await reader.some(0, 8)).toString("latin1");
  if (unpacked.some((mark) => start.startsWith(mark)) || start.startsWith("-lh", 2)) return false;
  return (await reader.some(isoAt, isoMark.length)).toString("latin1") !== isoMark;
}

async function inspectKind(reader: BodyReader, kind: Kind, end: ZipEnd): Promise<Unscannable | null> {
  switch (kind) {
    case "zip":
      return inspectFirstZip(reader, end, true);
    case "split-zip":
      return inspectFirstZip(reader, end, false);
    case "fronted-zip":
      return finding("Zip.Front");
    case "7z":
      return inspectSevenZip(reader);
    case "gzip":
      return inspectGzip(reader, end);
    case "tar":
      return inspectBehind(reader, await tarEnd(reader), end);
    case "ole2":
      return inspectOle2(reader);
    case "arj":
      return inspectArj(reader);
    case "rar4":
      return inspectRar4(reader);
    case "rar5":
      return inspectRar5(reader);
    case "cms":
      return finding("Encrypted.Smime");
    case "openpgp":
      return inspectOpenPgp(reader);
    case "pdf":
      return inspectPdf(reader);
    case "message":
      return inspectMessage(reader);
  }
}

/** @param isWhole whether clamd takes it for a zip by its first bytes. */
async function inspectFirstZip(reader: BodyReader, end: ZipEnd, isWhole: boolean): Promise<Unscannable | null> {
  switch (end.kind) {
    case "none":
    case "unfit":
      return finding("Zip.NoDirectory");
    case "ambiguous":
      return finding("Zip.TwoDirectories");
    case "directory":
      return end.trailing < 0 ? finding("Zip.NoDirectory") : inspectZip(reader, { directory: end, isWhole });
  }
}

/** To find its end it is unpacked; only where there is something that may stand behind it. */
async function inspectGzip(reader: BodyReader, end: ZipEnd): Promise<Unscannable | null> {
  if (!isZip(end) && !(await hasSevenZip(reader, 0))) return null;
  return inspectBehind(reader, await gzipEnd(reader), end);
}

async function inspectBehind(reader: BodyReader, from: number, end: ZipEnd): Promise<Unscannable | null> {
  if (isZip(end) && end.at >= from) return finding("Zip.Behind");
  return (await hasSevenZip(reader, from)) ? finding("7Zip.Behind") : null;
}

function isZip(end: ZipEnd): end is Exclude<ZipEnd, { readonly kind: "none" }> {
  return end.kind === "ambiguous" || (end.kind === "directory" && end.start < end.end);
}

async function hasSevenZip(reader: BodyReader, from: number): Promise<boolean> {
  let hits = 0;
  for await (const { bytes } of reader.pieces(sevenZipStartBytes - 1, from)) {
    for (let at = bytes.indexOf(sevenZipSignature); at !== -1; at = bytes.indexOf(sevenZipSignature, at + 1)) {
      hits += 1;
      if (hits % hitsPerBreath === 0) await reader.breathe();
      if (isSevenZipStart(bytes.subarray(at))) return true;
    }
  }
  return false;
}

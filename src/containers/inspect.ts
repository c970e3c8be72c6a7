/** What a body holds that clamd does not open: by its first bytes and its last, its directories are read. */

import type { FileFormat } from "../codec/file-format.ts";
import type { Clock } from "../core/clock.ts";
import { type Inspect, LimitReached } from "../core/look-inside.ts";
import { together, type Unscannable } from "../core/verdict.ts";
import { BodyReader, createNextTurn } from "./body-reader.ts";
import { joinBzip2 } from "./bzip2.ts";
import { gzipEnd, openGzip, openTar } from "./compressed-end.ts";
import { inspectArj, inspectOle2, inspectRar4, inspectRar5 } from "./encrypted-files.ts";
import { finding } from "./finding.ts";
import { isOfFormat } from "./format.ts";
import { headBytes, isWorthALook, type Kind, kindsOf } from "./kind.ts";
import { inspectMessage, inspectOpenPgp } from "./mail/encrypted-messages.ts";
import { openAttachments } from "./mail/mail.ts";
import { openSignedMessage } from "./mail/signed-message.ts";
import { openAr, openMakeself, openRpm } from "./packages.ts";
import { inspectPdf } from "./pdf.ts";
import { inspectSevenZip, isSevenZipStart, sevenZipSignature, sevenZipStartBytes } from "./seven-zip/seven-zip.ts";
import { Unpacking } from "./unpacking.ts";
import { inspectZip } from "./zip/zip.ts";
import { findZipEnd, longestTailBytes, type ZipDirectory, type ZipEnd } from "./zip/zip-end.ts";

/** OLE2, cpio, cab, ARJ, xar. */
const unpacked = ["\xd0\xcf\x11\xe0", "070701", "070702", "070707", "\xc7q", "q\xc7", "MSCF", "\x60\xea", "xar!"];
const isoMark = "\x01CD001";
const isoAt = 32_768;
const hitsPerBreath = 256;
const endSignature = Buffer.from("PK\x05\x06", "latin1");

export interface InspectOptions {
  readonly clock: Clock;
  /** Entries of one directory; 0: as many as there can be. */
  readonly maxFiles: number;
  /** What the operator calls unsupported: looked for in pieces; of a body itself the scan tells. */
  readonly formats: readonly FileFormat[];
}

const unsupported: Unscannable = { kind: "unscannable", reason: "unsupported", heuristic: null };

export function createInspect({ clock, maxFiles, formats }: InspectOptions): Inspect {
  const nextTurn = createNextTurn();
  const isWorth = (head: Buffer) => isWorthALook(head, formats);
  return (body, look) => {
    const { bytes } = body;
    const mayBeListed = look.isPiece && formats.length > 0;
    if (bytes !== null && !mayBeListed && !maybeHolds(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))) return null;
    const reader = new BodyReader(body, { look, maxFiles, clock, nextTurn, isWorthALook: isWorth });
    return inspect(reader, async () => mayBeListed && (await isOfFormat(body, formats)));
  };
}

function maybeHolds(bytes: Buffer): boolean {
  return (
    kindsOf(bytes.subarray(0, headBytes)).length > 0 ||
    bytes.subarray(Math.max(0, bytes.length - longestTailBytes)).includes(endSignature)
  );
}

/** Rejects as `Inspect` does. */
async function inspect(reader: BodyReader, isListed: () => Promise<boolean>): Promise<Unscannable | null> {
  let worst: Unscannable | null = null;
  try {
    if (await isListed()) worst = unsupported;
    const kinds = kindsOf(await reader.some(0, headBytes));
    const end = await findZipEnd(reader);
    for (const kind of kinds) worst = together(worst, await inspectKind(reader, kind, end));
    const isFollowed = kinds.some((kind) => ["zip", "split-zip", "gzip", "tar"].includes(kind));
    if (!isFollowed && end.kind === "ambiguous") return together(worst, finding("Zip.TwoDirectories"));
    if (!isFollowed && end.kind === "directory" && (await isAttached(reader, end)))
      worst = together(worst, await inspectZip(reader, { directory: end, isWhole: false }));
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
      await openGzip(reader);
      return inspectGzip(reader, end);
    case "bzip2":
      await joinBzip2(reader);
      return null;
    case "zstd":
      return openZstd(reader);
    case "ar":
      return openAr(reader);
    case "rpm":
      return openRpm(reader);
    case "makeself":
      return openMakeself(reader);
    case "tar":
      return inspectBehind(reader, await openTar(reader), end);
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
    case "signed-message":
      return openSignedMessage(reader);
    case "openpgp":
      return inspectOpenPgp(reader);
    case "pdf":
      return inspectPdf(reader);
    case "message":
      await openAttachments(reader);
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

async function openZstd(reader: BodyReader): Promise<Unscannable | null> {
  const unpacking = new Unpacking(reader, { packing: "zstd", from: 0, to: reader.size });
  await reader.handOver({ isScanned: false, read: () => unpacking.read() });
  return unpacking.isWhole && unpacking.packedBytes === reader.size ? null : finding("Zstd.Stream");
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

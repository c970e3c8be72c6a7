/** What clamd overlooks in a body because of its first bytes, and what must stand before the body so that clamd sees it. */

import { isTarHeader } from "../codec/tar-header.ts";

/** How many of a body's first bytes `furtherReadings` looks at. An ISO 9660 image names itself behind 32 KiB. */
export const lookBytes = 32_768 + 6;

export interface FurtherReadings {
  /** Each goes before the body for one more scan. */
  readonly prefixes: readonly Uint8Array[];
  /** Something may be in the body that none of these scans sees. */
  readonly isHidden: boolean;
}

// clamd tells a file's type by the bytes at fixed places in its first 1024; where several fit, the last line of its table counts
// (libclamav 1.4 filetypes_int.h and filetypes.c, which daily.ftm repeats). Each rule here was tried on clamd.

/** CL_TYPE_IGNORED: nothing is scanned, neither as plain bytes nor by hash. */
const ignored = [
  "ID3",
  "\xff\xfb\x90",
  "OggS",
  ".RMF",
  "SQLite format 3\0",
  "7\x7f\x06\x82\0-\xe2\x18",
  "7\x7f\x06\x83\0-\xe2\x18",
  "\xd9\xd5\x05\xf9 \xa1c\xd7",
  "SYMC\x01\0",
  "SIP-HIT (SIP/H",
];

/** CL_TYPE_IGNORED too, wherever it begins in the first bytes. It wins over every type that is found by searching. */
const image = Buffer.from(`/RGB\nID\n${"\xff".repeat(24)}`, "latin1");
const lastImageStart = 128;

/** These are looked for at places that another format leaves free, and win over what the body begins with. */
const ole2 = { text: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", at: 4 };
const partitions = { text: "EFI PART", at: 512 };
const ustar = { text: "ustar", at: 257 };

/** Beginnings of a first member's name by which clamd takes a tar with `ustar` in it for something else. */
const preferredToTar = [
  ...["\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xca\xfe\xba\xbe", "L\0\0\0"],
  ...[
    "7z\xbc\xaf",
    "070701",
    "070702",
    "070707",
    "q\xc7",
    "\xc7q",
    "MSCF",
    "xar!",
    "\xfd7zXZ",
    "EGGA",
    "ALZ\x01",
    "\x28\xb5\x2f\xfd",
  ],
  ...["PK\x07\x08PK", "PK\x03\x03PK", "%PDF-", "%!PS-Adobe-", "{\\rt", "HWP Document File", "\xe4R\\{", "Received-SPF: "],
  ...["FWS", "CWS", "ZWS", "\x89PNG", "GIF", "\xff\xd8\xff", "II*\0", "MM", '{ "Magic":"CLAM', '{\n  "Magic":"CLAM', "GGUF"],
  ...["SQLite format 3", "7\x7f\x06", "\xd9\xd5\x05\xf9", "SYMC\x01"],
];
/** The same at other places: compiled Python, models, and the two from above. */
const preferredToTarElsewhere = [{ text: "\r\n", at: 2 }, { text: "\x99\0", at: 2 }, { text: "TFL3", at: 4 }, ole2, partitions];

/** Formats that clamd opens where they begin the body, and does not find behind a line feed. */
const seenOnlyAtStart = [
  ...["\x1f\x8b", "BZh", "\xfd7zXZ", "070701", "070702", "070707", "q\xc7", "\xc7q", "xar!", "EGGA", "ALZ\x01", "SZDD"],
  ...["{\\rt", "\xd0\xcf\x11\xe0", "ITSF", 'x\x9f>"', "\xe4R\\{", "HWP Document File", "FWS", "CWS", "ZWS", "(This file must be"],
  ...["\x7fELF", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xca\xfe\xba\xbe", "L\0\0\0"],
];

/** In these clamd does not search for what else the body may be. */
const notSearched = ["\x1f\x8b", "PK\x03\x04", "PK00PK\x03\x04", "q\xc7", "\xc7q"];
const iso9660 = { text: "\x01CD001", at: 32_768 };

/** clamd takes the body for text, mail or HTML, and finds archives in it as it finds them in any file. */
const lineFeed = Buffer.from("\n");
/** Two empty directories: clamd looks no further to tell a tar, and comes to the body's own members next. */
const tarBeginning = Buffer.concat([emptyDirectory(), emptyDirectory()]);

export const longestPrefixBytes = tarBeginning.length;

/** Null where one scan of the body is enough. */
export function furtherReadings(head: Uint8Array): FurtherReadings | null {
  const isUstar = holds(head, ustar);
  const isTar = isUstar || isTarHeader(head);
  const isPartitioned = holds(head, partitions);
  const isOle2 = holds(head, ole2);
  const isImage = isOtherwiseIso(head, isTar);
  const needsLineFeed = isPartitioned || isOle2 || isImage || beginsWith(head, ignored);
  // A tar without `ustar` in it is taken for anything else that it may be.
  const needsTar =
    isTar && (!isUstar || beginsWith(head, preferredToTar) || preferredToTarElsewhere.some((mark) => holds(head, mark)));
  const isHidden =
    isOle2 ||
    holdsImage(head) ||
    (isPartitioned && beginsWith(head, seenOnlyAtStart)) ||
    (needsLineFeed && isMistakenBehindLineFeed(head)) ||
    // clamd takes a member without a name for the end of the tar.
    (isTar && head[0] === 0);
  if (!needsLineFeed && !needsTar && !isHidden) return null;
  return { prefixes: [...(needsLineFeed ? [lineFeed] : []), ...(needsTar ? [tarBeginning] : [])], isHidden };
}

interface Mark {
  /** In Latin-1. */
  readonly text: string;
  readonly at: number;
}

function holds(head: Uint8Array, { text, at }: Mark): boolean {
  for (let index = 0; index < text.length; index += 1) {
    if (head[at + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}

function beginsWith(head: Uint8Array, texts: readonly string[]): boolean {
  return texts.some((text) => holds(head, { text, at: 0 }));
}

function holdsImage(head: Uint8Array): boolean {
  const searched = head.subarray(0, lastImageStart + image.length);
  return Buffer.from(searched.buffer, searched.byteOffset, searched.length).includes(image);
}

/** An ISO image may hold anything in its first 32 KiB. */
function isOtherwiseIso(head: Uint8Array, isTar: boolean): boolean {
  return holds(head, iso9660) && (isTar || beginsWith(head, notSearched));
}

/** Whether the line feed moves a mark to where it counts. */
function isMistakenBehindLineFeed(head: Uint8Array): boolean {
  return [ole2, partitions, ustar].some(({ text, at }) => holds(head, { text, at: at - 1 }));
}

/** A header of the oldest kind, which may stand before headers of every kind. */
function emptyDirectory(): Uint8Array {
  const header = Buffer.alloc(512);
  header.write("../engine/", 0);
  header.write("5", 156);
  const sum = header.reduce((total, byte) => total + byte, 8 * 0x20);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

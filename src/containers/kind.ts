/** What a body may be by its first bytes, as far as there is something to look at in it that clamd does not see. */

import type { FileFormat } from "../codec/file-format.ts";
import { isTarHeader } from "../codec/tar-header.ts";
import { isBzip2Start } from "./bzip2.ts";
import { areOfFormat } from "./format.ts";
import { beginsWithSessionKey } from "./mail/encrypted-messages.ts";
import { isCmsEnvelope, isSignedMessage } from "./mail/signed-message.ts";
import { isMakeself } from "./packages.ts";
import { pdfMark, pdfSearchBytes } from "./pdf.ts";
import { sevenZipSignature } from "./seven-zip/seven-zip.ts";
import { unpackedStart } from "./unpacking.ts";

/** As many bytes as tell all kinds and formats. */
export const headBytes = 2048;

export type Kind =
  | "zip"
  | "split-zip"
  | "fronted-zip"
  | "7z"
  | "gzip"
  | "bzip2"
  | "zstd"
  | "ar"
  | "rpm"
  | "makeself"
  | "tar"
  | "ole2"
  | "arj"
  | "rar4"
  | "rar5"
  | "cms"
  | "signed-message"
  | "openpgp"
  | "pdf"
  | "message";

const marks: readonly (readonly [Kind, string])[] = [
  ["zip", "PK\x03\x04"],
  ["split-zip", "PK\x07\x08PK\x03\x04"],
  ["fronted-zip", "PK00PK\x03\x04"],
  ["7z", sevenZipSignature.toString("latin1")],
  ["gzip", "\x1f\x8b"],
  ["zstd", "\x28\xb5\x2f\xfd"],
  ["ar", "!<arch>\n"],
  ["rpm", "\xed\xab\xee\xdb"],
  ["ole2", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"],
  ["arj", "\x60\xea"],
  ["rar4", "Rar!\x1a\x07\0"],
  ["rar5", "Rar!\x1a\x07\x01\0"],
];

/** One body may be of several kinds. */
export function kindsOf(head: Buffer): readonly Kind[] {
  const kinds: Kind[] = [];
  const start = head.toString("latin1", 0, 8);
  for (const [kind, mark] of marks) if (start.startsWith(mark)) kinds.push(kind);
  const first = head[0] ?? 0;
  if (first >= 0x50 && first <= 0x5f && start.startsWith("\x2a\x4d\x18", 1)) kinds.push("zstd");
  if (isBzip2Start(head)) kinds.push("bzip2");
  if (isMakeself(head)) kinds.push("makeself");
  if (isCmsEnvelope(head)) kinds.push("cms");
  if (isSignedMessage(head)) kinds.push("signed-message");
  if (beginsWithSessionKey(head)) kinds.push("openpgp");
  if (head.subarray(0, pdfSearchBytes + pdfMark.length).includes(pdfMark)) kinds.push("pdf");
  if (isTarHeader(head.subarray(0, 512))) kinds.push("tar");
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

/** Beyond this the body itself is unpacked, and reaches a limit. */
const mostLayers = 8;
const noTail = Buffer.alloc(0);

/** Whether what begins so within another body is worth a look of its own: gzip for what it packs. */
export function isWorthALook(head: Buffer, formats: readonly FileFormat[], layers = 0): boolean {
  if (areOfFormat({ head, tail: noTail }, formats)) return true;
  return kindsOf(head).some(
    (kind) => kind !== "gzip" || layers > mostLayers || isWorthALook(unpackedStart("gzip", head), formats, layers + 1),
  );
}

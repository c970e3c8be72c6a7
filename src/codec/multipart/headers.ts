/** The header lines of one multipart part, read as Go's net/textproto reads them and no more leniently. */

import { ProtocolError } from "../protocol-error.ts";

/** Lower-case names; of a repeated header the first counts, as with Go's `Header.Get`. */
export type PartHeaders = ReadonlyMap<string, string>;

/** The codings of a part that change its bytes (RFC 2045 §6). */
export type TransferCoding = "base64" | "quoted-printable";

const transferCodingField = "content-transfer-encoding";

const space = 0x20;
const tab = 0x09;
const carriageReturn = 0x0d;
const lineFeed = 0x0a;

/** RFC 9110 §5.6.2 */
const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * @param block whole lines ending in LF or CRLF, without the blank line that ends the headers.
 * Bytes above 0x7f are UTF-8; what is not becomes U+FFFD. Throws ProtocolError; a folded line (RFC 5322 §2.2.3) is joined with one space.
 */
export function parsePartHeaders(block: Uint8Array, maxHeaders: number): PartHeaders {
  const headers = new Map<string, string>();
  let count = 0;
  for (const line of unfold(block)) {
    count += 1;
    if (count > maxHeaders) throw new ProtocolError(`a part has more than ${maxHeaders} headers`);
    const colon = line.indexOf(":");
    if (colon < 0) throw new ProtocolError("a part's header line has no colon");
    const name = line.slice(0, colon);
    // A blank before the colon would make a header that some receivers know and others do not.
    if (!fieldName.test(name)) throw new ProtocolError("a part's header has a malformed name");
    const value = trimBlanks(line.slice(colon + 1));
    const key = name.toLowerCase();
    // One reader takes the first value, another the last: what one decodes, the other does not.
    if (key === transferCodingField && headers.has(key)) throw new ProtocolError("a part has Content-Transfer-Encoding twice");
    if (!headers.has(key)) headers.set(key, value);
  }
  return headers;
}

/** Null where the bytes are as they are. Throws ProtocolError for what is no coding of RFC 2045: nobody knows what a reader makes of it. */
export function transferCodingOf(headers: PartHeaders): TransferCoding | null {
  const coding = headers.get(transferCodingField)?.toLowerCase();
  switch (coding) {
    case undefined:
    case "7bit":
    case "8bit":
    case "binary":
      return null;
    case "base64":
    case "quoted-printable":
      return coding;
    default:
      throw new ProtocolError(`a part has the unknown Content-Transfer-Encoding ${JSON.stringify(coding.slice(0, 40))}`);
  }
}

function unfold(block: Uint8Array): string[] {
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  // Joined once at the end: a header folded thousands of times must not be copied thousands of times.
  const lines: string[][] = [];
  let start = 0;
  while (start < bytes.length) {
    const feed = bytes.indexOf(lineFeed, start);
    const next = feed < 0 ? bytes.length : feed + 1;
    let end = feed < 0 ? bytes.length : feed;
    if (end > start && bytes[end - 1] === carriageReturn) end -= 1;
    const line = bytes.subarray(start, end);
    if (line.some(isControl)) throw new ProtocolError("a part's header contains a control character");
    const first = bytes[start];
    if (first === space || first === tab) {
      // CVE-2022-24434: a first line that starts with a blank continues nothing.
      const folded = lines.at(-1);
      if (folded === undefined) throw new ProtocolError("a part's first header line starts with a blank");
      folded.push(trimBlanks(line.toString("utf8")));
    } else {
      lines.push([trimBlanks(line.toString("utf8"))]);
    }
    start = next;
  }
  return lines.map((pieces) => pieces.join(" "));
}

function isControl(byte: number): boolean {
  return (byte < space && byte !== tab) || byte === 0x7f;
}

/** Only SP and HTAB: `String.trim` also takes characters that are part of a value. */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text, start)) start += 1;
  while (end > start && isBlank(text, end - 1)) end -= 1;
  return text.slice(start, end);
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === space || code === tab;
}

/** The header lines of one multipart part, taken only where every reader takes the same from them. */

import { trimBlanks } from "../../core/blanks.ts";
import { ProtocolError } from "../protocol-error.ts";
import type { LineEnd } from "./delimiter.ts";

/** The codings of a part that change its bytes (RFC 2045 §6). */
export type TransferCoding = "base64" | "quoted-printable";

/** Lower-case names; of a repeated header the first counts, as with Go's `Header.Get`. */
export type PartFields = ReadonlyMap<string, string>;

export interface PartHeaders {
  readonly fields: PartFields;
  /** Null where the bytes are as they are. */
  readonly transferCoding: TransferCoding | null;
  /** What the part says of its bytes as they come, if it does. */
  readonly contentLength: number | null;
}

/** What a part means stands in these: where there are two, one reader takes the first and another the last. */
const soleFields: ReadonlySet<string> = new Set([
  "content-disposition",
  "content-encoding",
  "content-length",
  "content-transfer-encoding",
  "content-type",
]);

/** PHP reads lines through a buffer of 5 KiB and takes the rest of a longer one for the next line. Browsers' longest names are half of it. */
const maxLineBytes = 4_096;

/** All but the tab and C1, of which U+0085 is a blank to Go and not to us: a name behind it would be of a file that nobody has scanned. */
const controls = /[^\P{Cc}\t\x80-\x84\x86-\x9f]/u;

/** RFC 9110 §5.6.2 */
const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]";
const fieldName = new RegExp(`^${token}+$`);

const parameter = `[ \\t]*;[ \\t]*${token}+=(?:${token}*|"(?:[^"\\\\]|\\\\.)*")`;
/** None, one type with its parameters (RFC 2045 §5.1; one may be empty), or Java's "null", which is no type to anybody. */
const plainType = new RegExp(`^(?:|null|${token}+/${token}+(?:${parameter})*[ \\t]*;?)$`);

/**
 * @param block whole lines with that line end, without the blank line that ends the headers.
 * Bytes above 0x7f are UTF-8; what is not becomes U+FFFD. Throws ProtocolError.
 */
export function parsePartHeaders(block: Buffer, lineEnd: LineEnd, maxHeaders: number): PartHeaders {
  // Werkzeug passes over the blank line and takes what follows for headers.
  if (block.length === 0) throw new ProtocolError("a part has no headers");
  const fields = new Map<string, string>();
  let count = 0;
  for (let start = 0; start < block.length; ) {
    const end = block.indexOf(lineEnd, start);
    const { name, value } = parseLine(block.toString("utf8", start, end), end - start);
    count += 1;
    if (count > maxHeaders) throw new ProtocolError(`a part has more than ${maxHeaders} headers`);
    if (!fields.has(name)) fields.set(name, value);
    else if (soleFields.has(name)) throw new ProtocolError(`a part has the header ${name} more than once`);
    start = end + lineEnd.length;
  }
  refuseNested(fields);
  return { fields, transferCoding: transferCodingOf(fields), contentLength: contentLengthOf(fields) };
}

function parseLine(text: string, bytes: number): { readonly name: string; readonly value: string } {
  if (bytes > maxLineBytes) throw new ProtocolError(`a part has a header line of more than ${maxLineBytes} bytes`);
  if (controls.test(text)) throw new ProtocolError("a part's header contains a control character");
  // Readers join it to the line before, take it for one of its own or, where it is the first, for anything (CVE-2022-24434).
  if (text.startsWith(" ") || text.startsWith("\t")) throw new ProtocolError("a part has a folded header line");
  const colon = text.indexOf(":");
  if (colon < 0) throw new ProtocolError("a part's header line has no colon");
  const name = text.slice(0, colon);
  // A blank before the colon would make a header that some receivers know and others do not.
  if (!fieldName.test(name)) throw new ProtocolError("a part's header has a malformed name");
  return { name: name.toLowerCase(), value: trimBlanks(text.slice(colon + 1)) };
}

/**
 * Python's cgi and email, commons-fileupload and Netty take a multipart part apart, and Python's email a message as well; busboy, PHP and
 * Go take either as one file, whether it has a file name or not. What is inside is not scanned by itself: RFC 7578 §4.3 ended this form,
 * and of clients curl alone writes it, when asked for several files in one field. A Content-Encoding of a part is undone by aiohttp and
 * by nobody else.
 */
function refuseNested(fields: PartFields): void {
  const type = fields.get("content-type") ?? "";
  if (/multipart/i.test(type)) throw new ProtocolError("a part is of a multipart type itself");
  if (/message\//i.test(type)) throw new ProtocolError("a part is of a message type");
  // Whoever mends what is odd, or decodes words in it, may find such a type there.
  if (!plainType.test(type) || type.includes("=?")) throw new ProtocolError(`a part has the Content-Type ${shown(type)}`);
  const encoding = fields.get("content-encoding")?.toLowerCase() ?? "identity";
  if (encoding !== "identity") throw new ProtocolError(`a part has the Content-Encoding ${shown(encoding)}`);
}

/** What is no coding of RFC 2045 is refused: nobody knows what a reader makes of it. */
function transferCodingOf(fields: PartFields): TransferCoding | null {
  const coding = fields.get("content-transfer-encoding")?.toLowerCase();
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
      throw new ProtocolError(`a part has the unknown Content-Transfer-Encoding ${shown(coding)}`);
  }
}

/** aiohttp and others read as many bytes as it says, and no delimiter ends them. */
function contentLengthOf(fields: PartFields): number | null {
  const written = fields.get("content-length");
  if (written === undefined) return null;
  if (!/^[0-9]{1,15}$/.test(written)) throw new ProtocolError(`a part has the Content-Length ${shown(written)}`);
  return Number(written);
}

function shown(value: string): string {
  return JSON.stringify(value.slice(0, 40));
}

/** The line before each chunk of an encapsulated body: its size, and extensions, of which ICAP knows `ieof` (RFC 3507 §4.5). */

import { badRequest, shown } from "./fault.ts";

export interface ChunkLine {
  /** 0: the last chunk. */
  readonly bytes: number;
  readonly isEndOfFile: boolean;
  /** Of what stands behind the size. */
  readonly extensionBytes: number;
}

const plain = /^[0-9A-Fa-f]{1,15}$/;
const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const extension = `[ \\t]*;[ \\t]*(${token})(?:[ \\t]*=[ \\t]*(?:${token}|"(?:[^"\\\\]|\\\\.)*"))?`;
const withExtensions = new RegExp(`^([0-9A-Fa-f]{1,15})[ \\t]*((?:${extension})*)[ \\t]*$`);

/** @param line without its CRLF. Throws IcapFault. */
export function parseChunkLine(line: Buffer): ChunkLine {
  const text = line.toString("latin1");
  if (plain.test(text)) return { bytes: Number.parseInt(text, 16), isEndOfFile: false, extensionBytes: 0 };
  const [, digits, extensions = ""] = withExtensions.exec(text) ?? [];
  if (digits === undefined) throw badRequest(`a chunk begins with ${shown(text)}`);
  const names = [...extensions.matchAll(new RegExp(extension, "g"))].map(([, name = ""]) => name.toLowerCase());
  return {
    bytes: Number.parseInt(digits, 16),
    isEndOfFile: names.includes("ieof"),
    extensionBytes: text.length - digits.length,
  };
}

/** Whether the manifest of an OpenDocument file says that its parts are encrypted (OpenDocument 1.2 part 3, 3.4). */

import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import { type BodyReader, LimitReached } from "./body-reader.ts";

export interface PackedEntry {
  readonly at: number;
  readonly method: number;
  readonly packedSize: number;
}

const inflate = promisify(inflateRaw);
const element = "encryption-data";
/** XML may come in any of these. */
const spellings = [Buffer.from(element), Buffer.from(element, "utf16le"), Buffer.from(element, "utf16le").swap16()];
/** Of a text of thousands of names. */
const maxPackedBytes = 1024 * 1024;
const maxBytes = 4 * maxPackedBytes;

/** Rejects with LimitReached. */
export async function holdsEncryptedDocument(reader: BodyReader, { at, method, packedSize }: PackedEntry): Promise<boolean> {
  if (method !== 0 && method !== 8) return false;
  if (packedSize > maxPackedBytes) throw new LimitReached("limit-size");
  const packed = await reader.some(at, packedSize);
  const manifest = method === 0 ? packed : await inflated(packed);
  return spellings.some((spelling) => manifest.includes(spelling));
}

/** As much as can be unpacked: what no reader gets either is not looked for. */
async function inflated(packed: Buffer): Promise<Buffer> {
  try {
    return await inflate(packed, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") throw new LimitReached("limit-size");
    return Buffer.alloc(0);
  }
}

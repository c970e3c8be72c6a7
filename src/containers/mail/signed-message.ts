/** CMS objects (RFC 5652), as S/MIME has them: what is encrypted, and what is signed with its content inside. */

import { LimitReached } from "../../core/look-inside.ts";
import type { Unscannable } from "../../core/verdict.ts";
import type { BodyReader } from "../body-reader.ts";
import { finding } from "../finding.ts";

/** Encrypted (RFC 5652 §6.1, RFC 5083 §2). */
const envelopes = ["06092a864886f70d010703", "060b2a864886f70d0109100117"].map((hex) => Buffer.from(hex, "hex"));
const signedData = Buffer.from("06092a864886f70d010702", "hex");
export const longestCmsHead = 6 + 13;

/** Whether an encrypted object begins so. */
export function isCmsEnvelope(head: Buffer): boolean {
  return beginsWithType(head, envelopes);
}

/** Whether a signed object begins so, its content inside or not. */
export function isSignedMessage(head: Buffer): boolean {
  return beginsWithType(head, [signedData]);
}

/** A sequence, however its length is written, that begins with its content type. */
function beginsWithType(head: Buffer, types: readonly Buffer[]): boolean {
  if (head[0] !== tags.sequence) return false;
  const first = head[1] ?? 0;
  const typeAt = 2 + (first > 0x80 ? first - 0x80 : 0);
  return typeAt <= 6 && types.some((type) => head.subarray(typeAt, typeAt + type.length).equals(type));
}

const tags = { octets: 0x04, manyOctets: 0x24, sequence: 0x30, explicit: 0xa0 } as const;
const endOfContents = 0;
const elementHeadBytes = 10;
/** Elements of an object that come before its content: its version, algorithms, types; and how deep they stand in each other. */
const mostElements = 1000;
const mostDepth = 16;
/** OpenSSL writes a kilobyte or more in each. */
const mostParts = 100_000;
/** clamd takes for mail what has a header that it knows; an entity that is signed need not have one (RFC 8551 §3.1). */
const mailHeader = Buffer.from("MIME-Version: 1.0\r\n");
const headerStart = /^[!-9;-~]{1,76}:/;

/** Has the content scanned, as the mail that it is. */
export async function openSignedMessage(reader: BodyReader): Promise<Unscannable | null> {
  const content = await findContent(reader);
  if (content === null) return null;
  const parts = octets(reader, content);
  let isWhole = true;
  async function* read(): AsyncGenerator<Uint8Array, void, undefined> {
    let isFirst = true;
    let count = 0;
    for await (const part of parts) {
      count += 1;
      if (count > mostParts) throw new LimitReached("limit-files");
      if (part === null) isWhole = false;
      else if (part.from < part.to) {
        if (isFirst && headerStart.test((await reader.some(part.from, 80)).toString("latin1"))) yield mailHeader;
        isFirst = false;
        yield* reader.range(part.from, part.to);
      }
    }
  }
  await reader.handOver({ isScanned: false, read });
  return isWhole ? null : finding("Smime.Content");
}

interface Element {
  readonly tag: number;
  readonly from: number;
  /** Null where its end is marked behind its contents (X.690 8.1.3.6). */
  readonly to: number | null;
}

async function elementAt(reader: BodyReader, at: number): Promise<Element | null> {
  const head = await reader.some(at, elementHeadBytes);
  const [tag, first] = head;
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return null;
  if (first < 0x80) return { tag, from: at + 2, to: at + 2 + first };
  const bytes = first - 0x80;
  if (bytes === 0) return { tag, from: at + 2, to: null };
  if (bytes > 6 || head.length < 2 + bytes) return null;
  return { tag, from: at + 2 + bytes, to: at + 2 + bytes + head.readUIntBE(2, bytes) };
}

/** Behind the element. */
async function skip(reader: BodyReader, element: Element, depth = 0): Promise<number | null> {
  if (element.to !== null) return element.to;
  if (depth > mostDepth) return null;
  let at = element.from;
  for (let count = 0; count < mostElements; count += 1) {
    const next = await elementAt(reader, at);
    if (next === null) return null;
    if (next.tag === endOfContents) return next.from;
    const behind = await skip(reader, next, depth + 1);
    if (behind === null) return null;
    at = behind;
  }
  return null;
}

/** ContentInfo, SignedData and EncapsulatedContentInfo (RFC 5652 §3, §5.1, §5.2). Null where there is none, or none of octets. */
async function findContent(reader: BodyReader): Promise<Element | null> {
  let at = 0;
  for (const path of ["sequence", "skip", "explicit", "sequence", "skip", "skip", "sequence", "skip", "explicit"] as const) {
    const element = await elementAt(reader, at);
    if (element === null || (path !== "skip" && element.tag !== tags[path])) return null;
    const next = path === "skip" ? await skip(reader, element) : element.from;
    if (next === null) return null;
    at = next;
  }
  const content = await elementAt(reader, at);
  return content !== null && (content.tag === tags.octets || content.tag === tags.manyOctets) ? content : null;
}

/** The parts of a string of octets, in order; null where it breaks off. */
async function* octets(
  reader: BodyReader,
  { tag, from, to }: Element,
  depth = 0,
): AsyncGenerator<{ readonly from: number; readonly to: number } | null, void, undefined> {
  if (tag === tags.octets && to !== null) {
    yield { from, to: Math.min(to, reader.size) };
    if (to > reader.size) yield null;
    return;
  }
  for (let at = from; to === null || at < to; ) {
    const next = await elementAt(reader, at);
    if (to === null && next?.tag === endOfContents) return;
    if (next === null || (next.tag !== tags.octets && next.tag !== tags.manyOctets) || depth > mostDepth) return yield null;
    yield* octets(reader, next, depth + 1);
    const behind = await skip(reader, next);
    if (behind === null) return yield null;
    at = behind;
  }
}

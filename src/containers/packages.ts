/** Packages that clamd does not open: ar with deb, rpm, and scripts of makeself. What they hold is handed over in a form that it opens. */

import { LimitReached } from "../core/look-inside.ts";
import type { Unscannable } from "../core/verdict.ts";
import type { BodyReader } from "./body-reader.ts";
import { finding } from "./finding.ts";

const arHeadBytes = 8;
const arHeaderBytes = 60;

interface Member {
  readonly from: number;
  readonly to: number;
}

/** From this size on a scan of its own costs less than the copy and the scan of the tar around it. */
const aloneBytes = 256 * 1024;

/** Small members are handed over in a tar, which clamd opens: an ar may have thousands. Large ones each as it is. */
export async function openAr(reader: BodyReader): Promise<Unscannable | null> {
  const { members, isWhole } = await arMembers(reader);
  const isLarge = ({ from, to }: Member) => to - from >= aloneBytes;
  const small = members.filter((member) => !isLarge(member));
  if (small.length > 0) await reader.handOver({ isScanned: false, read: () => tarOf(reader, small) });
  for (const { from, to } of members.filter(isLarge))
    await reader.handOver({ isScanned: false, read: () => reader.range(from, to) });
  return isWhole ? null : finding("Ar.Header");
}

/** Those that are not empty, of ar(5), "COMMON"; whole where nothing is left behind the last. */
async function arMembers(reader: BodyReader): Promise<{ readonly members: readonly Member[]; readonly isWhole: boolean }> {
  const members: Member[] = [];
  let at = arHeadBytes;
  for (let count = 0; at + 1 < reader.size; count += 1) {
    if (count >= reader.maxEntries) throw new LimitReached("limit-files");
    const header = (await reader.some(at, arHeaderBytes)).toString("latin1");
    const written = /^(.{16}).{32}(\d{1,10}) *`\n$/s.exec(header);
    if (written === null) return { members, isWhole: false };
    const size = Number(written[2]);
    // BSD has long names in front of the bytes.
    const nameBytes = Math.min(size, Number(/^#1\/(\d+)/.exec(header)?.[1] ?? 0));
    const from = at + arHeaderBytes + nameBytes;
    const to = Math.min(at + arHeaderBytes + size, reader.size);
    if (from < to) members.push({ from, to });
    at += arHeaderBytes + size + (size % 2);
  }
  return { members, isWhole: true };
}

async function* tarOf(reader: BodyReader, members: readonly Member[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { from, to } of members) {
    yield tarHeader(to - from);
    yield* reader.range(from, to);
    yield Buffer.alloc((tarBlockBytes - ((to - from) % tarBlockBytes)) % tarBlockBytes);
  }
}

const tarBlockBytes = 512;

/** POSIX.1 pax, "ustar Interchange Format". */
function tarHeader(size: number): Buffer {
  const header = Buffer.alloc(tarBlockBytes);
  header.write("member", 0);
  header.write("0000644\0", 100);
  header.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  header.write("        0", 148);
  header.write("ustar\x0000", 257);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0`,
    148,
  );
  return header;
}

const rpmLeadBytes = 96;
const rpmHeaderMark = "\x8e\xad\xe8";
const rpmIntroBytes = 16;

/** The payload behind a lead, a header of signatures and a header of tags (RPM's file format, V3 and V4). */
export async function openRpm(reader: BodyReader): Promise<Unscannable | null> {
  let at = rpmLeadBytes;
  for (const alignment of [8, 1]) {
    const intro = await reader.exactly(at, rpmIntroBytes);
    if (intro?.toString("latin1", 0, 3) !== rpmHeaderMark) return finding("Rpm.Header");
    at += rpmIntroBytes + 16 * intro.readUInt32BE(8) + intro.readUInt32BE(12);
    at = Math.ceil(at / alignment) * alignment;
  }
  if (at > reader.size) return finding("Rpm.Header");
  await reader.handOver({ isScanned: false, read: () => reader.range(at) });
  return null;
}

/** In its first lines: elsewhere it may be what a script carries. */
const makeselfStart = /^#![^\n]*\n(?:#[^\n]*\n)*#[^\n]*generated using Makeself/;

export function isMakeself(head: Buffer): boolean {
  return head.toString("latin1", 0, 2) === "#!" && makeselfStart.test(head.toString("latin1", 0, 1024));
}

/** Of the longest script that makeself writes several times as many. */
const makeselfScriptBytes = 256 * 1024;
/** gzip, bzip2, xz, zstd. */
const payloadMarks = ["\x1f\x8b\x08", "BZh", "\xfd7zXZ\0", "\x28\xb5\x2f\xfd"];
const tarMark = "ustar";
const tarMarkAt = 257;

/** What stands behind the last line of the script. */
export async function openMakeself(reader: BodyReader): Promise<Unscannable | null> {
  const start = await reader.some(0, makeselfScriptBytes);
  const places = payloadMarks.map((mark) => start.indexOf(`\n${mark}`, 0, "latin1") + 1);
  const tarAt = start.indexOf(tarMark, 0, "latin1") - tarMarkAt;
  if (start[tarAt - 1] === 0x0a) places.push(tarAt);
  const from = Math.min(...places.filter((place) => place > 0));
  if (!Number.isFinite(from)) return finding("Makeself.Payload");
  await reader.handOver({ isScanned: false, read: () => reader.range(from) });
  return null;
}

/** Encrypted messages: OpenPGP and S/MIME, alone, armoured, or in a mail. */

import type { Unscannable } from "../../core/verdict.ts";
import type { BodyReader } from "../body-reader.ts";
import { finding } from "../finding.ts";
import { isCmsEnvelope, longestCmsHead } from "./signed-message.ts";

/** Packets of OpenPGP (RFC 9580 §5). */
const publicKeySession = 1;
const symmetricKeySession = 3;
const encryptedData = new Set([9, 18, 20]);
const marker = 10;
/** A message to a thousand people is no longer a message. */
const maxPackets = 1000;

/** A message whose first packets hold session keys, and behind them data that one of these opens. */
export async function inspectOpenPgp(reader: BodyReader): Promise<Unscannable | null> {
  let at = 0;
  for (let count = 0; count < maxPackets; count += 1) {
    const packet = readPacket(await reader.some(at, 8));
    if (packet === null) return null;
    if (count > 0 && encryptedData.has(packet.tag)) return finding("Encrypted.OpenPgp");
    if (!isSessionKey(packet) && packet.tag !== marker) return null;
    at += packet.headerBytes + packet.length;
  }
  return null;
}

/** Whether an encrypted message begins so. */
export function beginsWithSessionKey(head: Buffer): boolean {
  const packet = readPacket(head);
  return packet !== null && isSessionKey(packet);
}

interface Packet {
  readonly tag: number;
  readonly headerBytes: number;
  /** 0 where it is not told. */
  readonly length: number;
  /** The first byte of its body. */
  readonly version: number;
}

function isSessionKey({ tag, version }: Packet): boolean {
  return (
    (tag === publicKeySession && [2, 3, 6].includes(version)) || (tag === symmetricKeySession && [4, 5, 6].includes(version))
  );
}

/** RFC 9580 §4.2, in both of its formats. */
function readPacket(bytes: Buffer): Packet | null {
  const first = bytes[0] ?? 0;
  if (bytes.length < 7 || first < 0x80) return null;
  const made = (tag: number, headerBytes: number, length: number) => ({
    tag,
    headerBytes,
    length,
    version: bytes[headerBytes] ?? 0,
  });
  if (first < 0xc0) {
    const tag = (first >> 2) & 0x0f;
    switch (first & 3) {
      case 0:
        return made(tag, 2, bytes.readUInt8(1));
      case 1:
        return made(tag, 3, bytes.readUInt16BE(1));
      case 2:
        return made(tag, 5, bytes.readUInt32BE(1));
    }
    return made(tag, 1, 0);
  }
  const tag = first & 0x3f;
  const length = bytes.readUInt8(1);
  if (length < 192) return made(tag, 2, length);
  if (length < 224) return made(tag, 3, (length - 192) * 256 + bytes.readUInt8(2) + 192);
  return length === 255 ? made(tag, 6, bytes.readUInt32BE(2)) : made(tag, 2, 0);
}

const armour = "-----BEGIN PGP MESSAGE-----";
/** All lengths of a sequence begin so in base64, but those under 128 bytes. */
const sequence = "MI";
const lookBytes = 1024;
const linesPerBreath = 256;

/** At the beginning of a line: PGP's armour, or base64 that begins as an encrypted CMS object. */
export async function inspectMessage(reader: BodyReader): Promise<Unscannable | null> {
  for await (const { at, bytes } of reader.pieces(lookBytes)) {
    let lines = 0;
    for (const { mark, judge, length } of judges) {
      for (let index = bytes.indexOf(mark); index !== -1; index = bytes.indexOf(mark, index + 1)) {
        if (lines % linesPerBreath === 0) await reader.breathe();
        lines += 1;
        const isAtLineStart = index === 0 ? at === 0 : bytes[index - 1] === 0x0a || bytes[index - 1] === 0x0d;
        if (!isAtLineStart) continue;
        const found = judge(bytes.toString("latin1", index, index + length));
        if (found !== null) return found;
      }
    }
  }
  return null;
}

const judges = [
  { mark: armour, judge: judgeArmour, length: lookBytes },
  { mark: sequence, judge: judgeBase64, length: 4 * longestCmsHead },
] as const;

/** A message in armour may be signed only: its first packet tells. Headers may stand before an empty line (RFC 9580 §6.2). */
function judgeArmour(text: string): Unscannable | null {
  const lines = text.split("\n").map((line) => line.trim());
  return beginsWithSessionKey(Buffer.from(lines.slice(lines.indexOf("") + 1).join(""), "base64"))
    ? finding("Encrypted.OpenPgp")
    : null;
}

function judgeBase64(text: string): Unscannable | null {
  const head = Buffer.from(text, "base64");
  return isCmsEnvelope(head) ? finding("Encrypted.Smime") : null;
}

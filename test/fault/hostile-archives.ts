/** Archives and documents made to wear a scanner out, or to keep it from seeing: small to send, and more than it may unpack. */

import { crc32, deflateSync, gzipSync } from "node:zlib";
import { sevenZip } from "../fuzz/seven-zip.ts";
import { marker } from "../live/clamd.ts";
import { zip } from "../live/zip.ts";
import { type Subject, subject } from "./harness/subjects.ts";

/** 100 MiB of nothing, by bzip2 at its best: 113 bytes. */
const bzip2Bomb = Buffer.from(
  "QlpoOTFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZDgni3wFfjkAAwAAACCAAMIBNRkKgJakKgJcxQVkmU1mKltepAGQGRADAABAAAAggADDMBSmmKARbEoBF4u5IpwoSFdRTLWA=",
  "base64",
);
const mebibyte = 1024 * 1024;
const secret = Buffer.from("what nobody without the key may see");

export interface HostileLimits {
  /** MAX_SCAN_SIZE. */
  readonly maxScanBytes: number;
  readonly maxFiles: number;
}

/** None of them may be called clean; where there is a marker in one, it is behind what wears out. */
export function hostileArchives({ maxScanBytes, maxFiles }: HostileLimits): readonly Subject[] {
  const nothing = Buffer.alloc(maxScanBytes + mebibyte);
  const evil = { name: "evil", bytes: Buffer.from(marker) };
  const bodies: Readonly<Record<string, Buffer>> = {
    "flat.zip": zip([{ name: "nothing", bytes: nothing }, evil]),
    "many.zip": zip(
      Array.from({ length: Math.ceil(maxScanBytes / mebibyte) + 1 }, (_, index) => ({
        name: `nothing-${index}`,
        bytes: nothing.subarray(0, mebibyte),
      })),
    ),
    "empty.zip": zip([
      ...Array.from({ length: maxFiles + 1 }, (_, index) => ({ name: `${index}`, bytes: Buffer.alloc(0) })),
      evil,
    ]),
    "small.zip": zip([
      ...Array.from({ length: maxFiles + 1 }, (_, index) => ({ name: `${index}`, bytes: Buffer.from(`${index}`) })),
    ]),
    "nothing.gz": gzipSync(nothing),
    "nothing.bz2": bzip2Bomb,
    "deep.zip": nested(40, (name, bytes) => zip([{ name, bytes }])),
    "deep.gz": nested(40, (_name, bytes) => gzipSync(bytes)),
    "bombs.zip": zip(Array.from({ length: 5 }, (_, index) => ({ name: `${index}.bz2`, bytes: bzip2Bomb }))),
    "overlapping.zip": overlappingZip(200, nothing.subarray(0, mebibyte)),
    "sheet.xlsx": zip([
      { name: "[Content_Types].xml", bytes: Buffer.from('<?xml version="1.0"?><Types/>') },
      { name: "xl/sharedStrings.xml", bytes: Buffer.concat([Buffer.from("<sst>"), Buffer.alloc(nothing.length, "<si/>")]) },
    ]),
    "stream.pdf": pdf(deflateSync(nothing)),
    "encrypted.zip": zip([{ name: "secret", bytes: secret, isEncrypted: true }]),
    "encrypted.7z": encryptedSevenZip(),
    "encrypted.pdf": encryptedPdf(),
  };
  return Object.entries(bodies).map(([name, bytes]) => subject(name, bytes, "unscannable"));
}

function nested(levels: number, wrap: (name: string, bytes: Buffer) => Buffer): Buffer {
  let bytes: Buffer = Buffer.from(marker);
  for (let level = 0; level < levels; level += 1) bytes = wrap(`level-${level}`, bytes);
  return bytes;
}

/** Each entry is stored and reaches from its local header to the end of the last one's bytes, over all that follow ("A better zip bomb", WOOT 2019). */
function overlappingZip(entries: number, last: Buffer): Buffer {
  const locals: Buffer[] = [last];
  const centrals: Buffer[] = [];
  for (let index = entries - 1; index >= 0; index -= 1) {
    const one = zip([{ name: String(index).padStart(3, "0"), bytes: Buffer.concat(locals), isStored: true }]);
    const central = Buffer.from(one.subarray(one.lastIndexOf(Buffer.from("PK\x01\x02")), -22));
    const local = one.subarray(0, 33);
    central.writeUInt32LE(index * local.length, 42);
    locals.unshift(local);
    centrals.unshift(central);
  }
  const end = zip([]);
  const directory = Buffer.concat(centrals);
  const body = Buffer.concat(locals);
  end.writeUInt16LE(entries, 8);
  end.writeUInt16LE(entries, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(body.length, 16);
  return Buffer.concat([body, directory, end]);
}

/** Its only coder is AES-256 with SHA-256 (7zFormat.txt, methods 06 F1 07 01). */
function encryptedSevenZip(): Buffer {
  const plain = sevenZip([{ name: "secret", bytes: secret }]);
  const headerAt = 32 + secret.length;
  const header = plain.subarray(headerAt);
  const coderAt = header.indexOf(Buffer.of(0x01, 0x01, 0x00, 0x0c));
  const aes = Buffer.of(0x01, 0x24, 0x06, 0xf1, 0x07, 0x01, 0x01, 0x13);
  const changed = Buffer.concat([header.subarray(0, coderAt), aes, header.subarray(coderAt + 3)]);
  const whole = Buffer.concat([plain.subarray(0, headerAt), changed]);
  whole.writeBigUInt64LE(BigInt(changed.length), 20);
  whole.writeUInt32LE(crc32(changed), 28);
  whole.writeUInt32LE(crc32(whole.subarray(12, 32)), 8);
  return whole;
}

function pdf(stream: Buffer, trailer = "", more = ""): Buffer {
  return Buffer.concat([
    Buffer.from(
      `%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Count 0/Kids[]>>\nendobj\n${more}`,
    ),
    Buffer.from(`3 0 obj\n<</Length ${stream.length}/Filter/FlateDecode>>\nstream\n`),
    stream,
    Buffer.from(`\nendstream\nendobj\nxref\n0 1\n0000000000 65535 f \ntrailer\n<</Root 1 0 R${trailer}>>\nstartxref\n0\n%%EOF\n`),
  ]);
}

function encryptedPdf(): Buffer {
  const key = "ab".repeat(32);
  const encrypt = `4 0 obj\n<</Filter/Standard/V 2/R 3/Length 128/P -44/O<${key}>/U<${key}>>>\nendobj\n`;
  return pdf(
    deflateSync(secret),
    "/Encrypt 4 0 R/ID[<00112233445566778899aabbccddeeff><00112233445566778899aabbccddeeff>]",
    encrypt,
  );
}

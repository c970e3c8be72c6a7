import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { type FileFormat, fileFormats } from "../../src/codec/file-format.ts";
import { isOfFormat } from "../../src/containers/format.ts";
import { tar } from "../fault/tar.ts";
import { inFile, inMemory } from "./inspecting.ts";
import { madeZip } from "./made-zip.ts";
import { toolSample } from "./tool-samples.ts";

const text = (latin1: string) => Buffer.from(`${latin1}${"-".repeat(100)}`, "latin1");
const hex = (digits: string) => Buffer.concat([Buffer.from(digits.replaceAll(" ", ""), "hex"), Buffer.alloc(100, "-")]);

/** A disk of 4 KiB with these bytes, in hexadecimal or in Latin-1, at these places. */
function disk(...marks: readonly (readonly [at: number, bytes: Buffer | string])[]): Buffer {
  const bytes = Buffer.alloc(4096);
  for (const [at, mark] of marks) bytes.set(typeof mark === "string" ? Buffer.from(mark, "latin1") : mark, at);
  return bytes;
}

const bootable = [510, "\x55\xaa"] as const;
const partition = Buffer.from("80 01 01 00 83 fe ff ff 00 08 00 00 00 10 00 00".replaceAll(" ", ""), "hex");
const ext: readonly (readonly [number, string])[] = [
  [1080, "\x53\xef\x01\0\x01\0"],
  [1096, "\0\0\0\0\x01\0\0\0"],
];

const bodies: Readonly<Record<FileFormat, readonly Buffer[]>> = {
  "7z": [toolSample("LZMA.7z")],
  activemime: [text("ActiveMime\0\0\x01\xf0")],
  appimage: [text("\x7fELF\x02\x01\x01\0AI\x02")],
  ar: [text("!<arch>\na.o/            ")],
  arc: [text("\x1a\x08A.TXT\0aaaaaa"), text("\x1a\x09ABCDEFGH.TXT\0")],
  asar: [text('\x04\0\0\0\x10\0\0\0\x0c\0\0\0\x08\0\0\0{"files":{}}')],
  compress: [hex("1f 9d 90"), hex("1f 9d 8c")],
  cramfs: [hex("45 3d cd 28"), hex("28 cd 3d 45")],
  dar: [hex("00 00 00 7b 00 00 00 00 00 00 00 00 00 00 54 53")],
  deb: [text("!<arch>\ndebian-binary   ")],
  erofs: [disk([1024, "\xe2\xe1\xf5\xe0"])],
  ext: [disk(...ext)],
  fat: [disk(bootable, [54, "FAT16   "]), disk(bootable, [82, "FAT32   "])],
  git: [text("# v2 git bundle\n"), text("PACK\0\0\0\x02\0\0\0\x01")],
  gpt: [disk([512, "EFI PART"])],
  hfs: [disk([1024, "BD"], [1044, "\0\0\x02\0"])],
  lrzip: [text("LRZI\0\x06")],
  lz4: [hex("04 22 4d 18"), hex("02 21 4c 18")],
  lzip: [text("LZIP\x01")],
  lzma: [hex("5d 00 00 80 00 ff ff ff ff ff ff ff ff 00"), hex("5d 00 00 01 00 10 00 00 00 00 00 00 00 00")],
  lzop: [text("\x89LZO\0\r\n\x1a\n")],
  makeself: [text("#!/bin/sh\n# This script was generated using Makeself 2.4.5\n")],
  mbr: [disk(bootable, [446, partition])],
  nar: [text("\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0")],
  ntfs: [disk([3, "NTFS    "], bootable)],
  openpgp: [
    Buffer.concat([Buffer.of(0xa3, 1), deflateRawSync("text")]),
    Buffer.concat([Buffer.of(0xa3, 2), deflateSync("text")]),
    text("\xa3\x03BZh91AY&SY"),
  ],
  pyinstaller: [Buffer.concat([text("\x7fELF"), Buffer.from("MEI\x0c\x0b\x0a\x0b\x0e", "latin1"), Buffer.alloc(80)])],
  qcow: [text("QFI\xfb\0\0\0\x03")],
  qed: [text("QED\0")],
  rar: [text("Rar!\x1a\x07\0"), text("Rar!\x1a\x07\x01\0")],
  romfs: [text("-rom1fs-")],
  rpm: [hex("ed ab ee db 03 00")],
  rzip: [text("RZIP\x02\x01")],
  snappy: [text("\xff\x06\0\0sNaPpY")],
  squashfs: [text("hsqs")],
  vdi: [disk([0, "<<< Oracle VM VirtualBox Disk Image >>>\n"], [64, "\x7f\x10\xda\xbe"])],
  vhd: [text("conectix"), disk([4096 - 512, "conectix"])],
  vhdx: [text("vhdxfile")],
  vmdk: [text("KDMV\x01\0\0\0")],
  warc: [text("WARC/1.0\r\n")],
  wim: [text("MSWIM\0\0\0\xd0")],
  xz: [hex("fd 37 7a 58 5a 00")],
  zchunk: [text("\0ZCK1")],
  zlib: [deflateSync("a text"), deflateSync("a text", { level: 0 }), deflateSync(Buffer.alloc(5_000_000))],
  zpaq: [text("7kSt\xa01\x83\xd3"), text("zPQ\x01\x01")],
  zstd: [zstdCompressSync("a text"), hex("50 2a 4d 18 04 00 00 00"), hex("5f 2a 4d 18 04 00 00 00")],
};
/** These are also of another format, or told as it. */
const alsoOf: Readonly<Partial<Record<FileFormat, readonly FileFormat[]>>> = { deb: ["ar"], openpgp: [] };

const ofNone: Readonly<Record<string, Buffer>> = {
  "an empty body": Buffer.alloc(0),
  "one byte": Buffer.of(0x1f),
  "a text of powers": text("x^2 is a power, and so is x^3\n"),
  "a text of what begins as zlib": text("x\x9c and so on"),
  "names of formats": text("Rar! BZh9 PACK ID3 LZIP"),
  "a pack of cards": text("PACK of cards"),
  "a program in DOS": text("\x1a\x02a text behind the end of a text"),
  "a disk without partitions": disk(bootable),
  "a disk of text": Buffer.alloc(4096, "text of a disk that has no end "),
  "FAT in a text": Buffer.concat([Buffer.alloc(54, "-"), text("FAT is what it is")]),
  "ext by two bytes alone": disk([1080, "\x53\xef"]),
  "HFS by two bytes alone": disk([1024, "BD"]),
  "a number of 123": hex("00 00 00 7b 01 02 03"),
  "0x1f9d in another file": hex("1f 9d ff"),
  "LZMA by three bytes alone": hex("5d 00 00 01 02 03 04 05 06 07 08 09 0a 0b"),
  "a pound sign": text("\xa3\x01 is what it costs"),
  "asar by four bytes alone": text('\x04\0\0\0 "files"'),
  "a script": text("#!/bin/sh\necho self\n"),
  gzip: gzipSync("a text"),
  brotli: brotliCompressSync("a text"),
  "a tar": tar("a", Buffer.from("a text")),
  "a zip": madeZip([{}]),
};

async function formatsOf(bytes: Buffer): Promise<readonly FileFormat[]> {
  const found: FileFormat[] = [];
  for (const format of fileFormats) {
    const isOne = await isOfFormat(inMemory(bytes), [format]);
    assert.equal(await isOfFormat(inFile(bytes), [format]), isOne, `${format} in a file`);
    if (isOne) found.push(format);
  }
  return found;
}

describe("isOfFormat", () => {
  for (const format of fileFormats) {
    test(`tells ${format}, and nothing else`, async () => {
      for (const bytes of bodies[format]) {
        const expected = new Set([...(alsoOf[format] ?? []), format]);
        assert.deepEqual(new Set(await formatsOf(bytes)), expected);
      }
    });
  }
  for (const [name, bytes] of Object.entries(ofNone)) {
    test(`takes ${name} for none`, async () => assert.deepEqual(await formatsOf(bytes), []));
  }
});

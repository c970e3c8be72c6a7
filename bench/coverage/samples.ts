/** The rows of docs/coverage.md: a sample of each format, with a marker inside that a test signature knows. */

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { ar } from "../../test/containers/made-packages.ts";
import { endRecord, harmless, longSizes, type MadeEntry, type MadeZip, madeZip } from "../../test/containers/made-zip.ts";
import { type ToolSample, toolSample } from "../../test/containers/tool-samples.ts";
import { tar } from "../../test/fault/tar.ts";
import { marker } from "../../test/live/clamd.ts";
import { encryptedOffice, encryptedOpenDocument, mail, pdfOf } from "./documents.ts";
import { deb, makeself, rpm, rpmPayloads } from "./packages.ts";
import { wholeFormats } from "./whole-formats.ts";
import type { Workshop } from "./workshop.ts";

export interface Sample {
  readonly format: string;
  /** Throws MissingTool. */
  readonly make: (workshop: Workshop) => Buffer;
}

export interface Table {
  readonly title: string;
  readonly samples: readonly Sample[];
}

/** Stored bytes would show the marker to anybody: what copies what it cannot shorten is given it packed. */
export const evil = Buffer.from(`${marker} ${"x".repeat(500)}`);
const name = "evil.txt";
const packed = gzipSync(evil);
const script = Buffer.from("#!/bin/sh\nexit 0\n");

const one = (entry: MadeEntry = {}, zip: MadeZip = {}) => madeZip([{ bytes: evil, ...entry }], zip);
const evilTar = () => tar(name, evil);
const zstd = (bytes: Uint8Array) => zstdCompressSync(bytes);
const made = (format: string, make: (workshop: Workshop) => Buffer): Sample => ({ format, make });
const tool = (format: string, sample: ToolSample) => made(format, () => toolSample(sample));
const filtered = (format: string, command: string, args: readonly string[], input: () => Uint8Array = () => evil) =>
  made(format, (workshop) => workshop.run(command, args, { input: input() }));

export const tables: readonly Table[] = [
  { title: "Opened by clamd", samples: openedByClamd() },
  { title: "Opened by the gateway (since 0.1.0)", samples: openedByGateway() },
  { title: "Refused by the gateway (since 0.1.0)", samples: refused() },
  { title: "Within other files (since 0.1.0)", samples: within() },
  { title: "Whole formats that nobody opens", samples: wholeFormats(evil) },
  { title: "Not seen", samples: notSeen() },
  { title: "What must pass", samples: mustPass() },
];

function openedByClamd(): readonly Sample[] {
  return [
    made("zip, deflate", () => one()),
    tool("zip, deflate64 (7-Zip)", "Deflate64.zip"),
    tool("zip, bzip2 (7-Zip)", "BZip2.zip"),
    made("zip with descriptors", () => one({ hasDescriptor: true })),
    made("a jar", (workshop) => workshop.file("a.jar", workshop.folder({ [name]: evil }), "jar", ["cf", "a.jar", name])),
    tool("7z, LZMA", "LZMA.7z"),
    tool("7z, LZMA2, BCJ2", "bcj2.7z"),
    tool("7z, PPMd", "PPMd.7z"),
    made("tar.gz", () => gzipSync(evilTar())),
    filtered("tar.xz", "xz", ["-c"], evilTar),
    filtered("tar.bz2", "bzip2", ["-c"], evilTar),
    made("gzip", () => packed),
    filtered("xz", "xz", ["-c"]),
    filtered("bzip2", "bzip2", ["-c"]),
    filtered("bzip2, lbzip2", "lbzip2", ["-c"]),
    made("cpio (newc)", (workshop) => {
      const cwd = workshop.folder({ "a.gz": packed });
      return workshop.run("cpio", ["-o", "-H", "newc", "--quiet"], { cwd, input: Buffer.from("a.gz\n") });
    }),
    tool("arj", "plain.arj"),
    made("cab", (workshop) => workshop.file("a.cab", workshop.folder({ [name]: evil }), "gcab", ["-c", "-z", "a.cab", name])),
    made("ISO 9660", (workshop) =>
      workshop.run("genisoimage", ["-quiet", "-r", "."], { cwd: workshop.folder({ "a.gz": packed }) }),
    ),
    tool("PDF, attachment in an object stream", "attachment-in-objects.pdf"),
    made("mail, base64", () => mail(packed)),
  ];
}

function openedByGateway(): readonly Sample[] {
  const long = { packedSize: 0xffff_ffff, size: 0xffff_ffff, extra: longSizes(evil.length, one().readUInt32LE(18)) };
  const skipped = Buffer.from("502a4d1804000000deadbeef", "hex");
  return [
    made("ar (stored)", () => ar(["a/", Buffer.from("a")], ["b/", packed])),
    ...["gzip", "xz", "zstd"].map((packing) => made(`deb, ${packing}`, (workshop) => deb(workshop, packing, evil))),
    ...Object.entries(rpmPayloads).map(([packing, payload]) =>
      made(`rpm, ${packing}`, (workshop) => rpm(workshop, payload, evil)),
    ),
    ...["gzip", "bzip2", "xz", "zstd"].map((packing) =>
      made(`makeself, ${packing}`, (workshop) => makeself(workshop, packing, evil)),
    ),
    made("zstd", () => zstd(packed)),
    made("tar.zst (Arch package)", () => zstd(evilTar())),
    made("zstd behind a frame to be skipped", () => Buffer.concat([skipped, zstd(packed)])),
    tool("bzip2, two streams", "two.bz2"),
    filtered("bzip2, tar by pbzip2 in many streams", "pbzip2", ["-1", "-b1", "-p2", "-c"], () =>
      Buffer.concat([tar("a", randomBytes(500_000)).subarray(0, -1024), evilTar()]),
    ),
    tool("zip from a pipe (zip64)", "stdin.zip"),
    made("zip, long sizes", () => one({ local: long })),
    made("zip, a long offset", () => one({ central: { offset: 0xffff_ffff, extra: longSizes(0) } })),
    made("zip64, descriptors", () => one({ hasDescriptor: true }, { isZip64: true })),
    made("executable jar (a script, then descriptors)", () => one({ hasDescriptor: true }, { front: script })),
    made("executable jar, offsets counted", () => one({ hasDescriptor: true }, { front: script, countsFront: true })),
    made(".jmod", () => one({ hasDescriptor: true }, { front: Buffer.from("JM\x01\x00", "latin1") })),
    made("zip behind a zip, in the second", () => Buffer.concat([madeZip([{}]), one({ hasDescriptor: true })])),
    made("zip behind a zip, in the first", () => Buffer.concat([one(), madeZip([{}])])),
    tool("PDF, attachment by qpdf", "attachment.pdf"),
    tool("S/MIME, signed, DER", "signed.p7m"),
    tool("S/MIME, signed, in pieces", "streamed.p7m"),
    tool("S/MIME, signed, a mail", "signed.eml"),
    tool("S/MIME, signed, PEM", "signed.pem"),
  ];
}

function refused(): readonly Sample[] {
  const emptyEnd = endRecord({ entries: 0, size: 0, offset: 0 });
  return [
    tool("zip, LZMA", "LZMA.zip"),
    tool("zip, PPMd", "PPMd.zip"),
    made("zip, another method among good ones", (workshop) => {
      const folder = workshop.folder({ a: harmless, b: evil, c: harmless });
      for (const args of ["-mm=Deflate a", "-mm=PPMd b", "-mm=Deflate c"]) {
        workshop.run("7z", ["a", "-bd", "-tzip", "a.zip", ...args.split(" ")], { cwd: folder });
      }
      return readFileSync(join(folder, "a.zip"));
    }),
    made("zip, method 99 in the local header alone", () => one({ local: { method: 99 } })),
    made("zip, no packed bytes in the local header", () => one({ local: { packedSize: 0 } })),
    made("zip without its directory", () => one().subarray(0, -22)),
    made("zip behind PK00", () => Buffer.concat([Buffer.from("PK00"), one()])),
    made("zip with an end record in its comment", () => one({ hasDescriptor: true }, { comment: emptyEnd })),
    made("zip behind gzip", () => Buffer.concat([gzipSync(harmless), one()])),
    made("zip behind a tar", () => Buffer.concat([tar("a", harmless), one()])),
    tool("7z, BZip2", "BZip2.7z"),
    tool("7z, Deflate", "Deflate.7z"),
    tool("7z, Deflate64", "Deflate64.7z"),
    tool("7z, Delta", "delta.7z"),
    tool("7z, BZip2 in a later folder", "later.7z"),
    made("7z, first volume", () => toolSample("LZMA.7z").subarray(0, 150)),
    made("7z behind gzip", () => Buffer.concat([gzipSync(harmless), toolSample("LZMA.7z")])),
    made("PDF, the filter in another object", () => pdfOf("/Filter 3 0 R", evil)),
    made("zstd, a window of 2 GiB", () => wideWindow(zstd(packed))),
    // What is there is looked at all the same: the marker is in what is missing.
    made("zstd, cut", () => zstd(Buffer.concat([randomBytes(5_000), packed])).subarray(0, 3_000)),
    made("makeself, base64", (workshop) => makeself(workshop, "base64", evil)),
    made("Office document with a password", () => encryptedOffice()),
    made("OpenDocument with a password", () => encryptedOpenDocument()),
    tool("arj with a password", "enc.arj"),
    tool("S/MIME, encrypted", "enveloped.p7m"),
    tool("OpenPGP, encrypted", "key.gpg"),
  ];
}

function within(): readonly Sample[] {
  const bzip2 = () => toolSample("BZip2.7z");
  return [
    made("zip, LZMA, in a zip", () => madeZip([{ bytes: toolSample("LZMA.zip") }])),
    made("7z, BZip2, in a tar.gz", () => gzipSync(tar("a.7z", bzip2()))),
    made("7z, BZip2, in a mail", () => mail(bzip2())),
    made("7z, BZip2, in a docx", () =>
      madeZip([
        { name: "[Content_Types].xml", bytes: Buffer.from("<Types/>") },
        { name: "word/embeddings/a.bin", bytes: bzip2() },
      ]),
    ),
    made("zstd in a tar (image layer)", () => tar("layer.tar.zst", zstd(evilTar()))),
    made("conda (tar.zst in a zip)", () =>
      madeZip([{ name: "metadata.json" }, { name: "pkg-a.tar.zst", bytes: zstd(evilTar()) }]),
    ),
    made("deb in a zip", (workshop) => madeZip([{ name: "a.deb", bytes: deb(workshop, "xz", evil) }])),
    made("PDF, attachment by qpdf, in a zip", () => madeZip([{ name: "a.pdf", bytes: toolSample("attachment.pdf") }])),
    made("zip, LZMA, in a deb, zstd", (workshop) => deb(workshop, "zstd", toolSample("LZMA.zip"))),
    made("S/MIME, signed, in a zip", () => madeZip([{ name: "a.eml", bytes: toolSample("signed.eml") }])),
  ];
}

function notSeen(): readonly Sample[] {
  return [
    filtered("brotli", "brotli", ["-c"]),
    filtered("zip, LZMA, in a tar.xz", "xz", ["-c"], () => tar("a.zip", toolSample("LZMA.zip"))),
    made("7z, BZip2, in a 7z", (workshop) =>
      workshop.file("a.7z", workshop.folder({ "b.7z": toolSample("BZip2.7z") }), "7z", ["a", "-bd", "a.7z", "b.7z"]),
    ),
    made("base64 as plain text", () => Buffer.from(`${packed.toString("base64").replace(/.{76}/g, "$&\n")}\n`)),
    made("gzip behind a program", () => Buffer.concat([script, packed])),
  ];
}

function mustPass(): readonly Sample[] {
  const ordinary = (zip: MadeZip, entry: MadeEntry = {}) => madeZip([{}, { name: "b", ...entry }], zip);
  const extra = Buffer.from("5855040000000000", "hex");
  return [
    made("a text that names formats", () => Buffer.from("x^2 is a text, and so are Rar!, BZh9, PACK and ID3\n")),
    made("55 AA without partitions", () => {
      const sector = Buffer.alloc(512, "a text ");
      sector.writeUInt16BE(0x55aa, 510);
      return sector;
    }),
    made("zip with descriptors, harmless", () => ordinary({}, { hasDescriptor: true })),
    made("zip with local extra fields of its own", () => ordinary({}, { local: { extra } })),
    made("zip with a comment", () => ordinary({ comment: Buffer.from("a comment") })),
    made("zip with a line feed behind it", () => ordinary({ behind: Buffer.from("\n") })),
    made("zip behind a program", () => ordinary({ front: script })),
    made("7z and xz", (workshop) =>
      workshop.file("a.7z", workshop.folder({ "b.xz": workshop.run("xz", ["-c"], { input: harmless }) }), "7z", [
        "a",
        "-bd",
        "a.7z",
        "b.xz",
      ]),
    ),
    made("ar, harmless", () => ar(["a/", harmless])),
    made("makeself, harmless", (workshop) => makeself(workshop, "gzip", harmless)),
    made("deb, harmless", (workshop) => deb(workshop, "xz", harmless)),
    made("PDF, an ordinary stream", () => pdfOf("/Filter /FlateDecode", harmless)),
    tool("detached signature of S/MIME", "detached.eml"),
    tool("certificates (.p7b)", "certificates.p7b"),
    tool("clear-signed OpenPGP", "clear.asc"),
    tool("public key of OpenPGP", "public.gpg"),
    made("MP3", () => Buffer.concat([Buffer.from("ID3\x04\0\0\0\0\0\0", "latin1"), Buffer.from("fffb9000", "hex"), harmless])),
    made("SQLite", () => Buffer.concat([Buffer.from("SQLite format 3\0"), harmless])),
  ];
}

/** RFC 8878 3.1.1.1: a descriptor of nothing, then the window, in place of the descriptor that says one byte of size. */
function wideWindow(frame: Buffer): Buffer {
  if (frame[4] !== 0x20) throw new Error("zstd has written another head than is expected here");
  return Buffer.concat([frame.subarray(0, 4), Buffer.from("00a8", "hex"), frame.subarray(6)]);
}

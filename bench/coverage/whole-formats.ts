/** Formats that neither clamd nor the gateway opens. Where a tool stores what it is given, it is given the marker packed. */

import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { madeZip } from "../../test/containers/made-zip.ts";
import { tar } from "../../test/fault/tar.ts";
import { rpm } from "./packages.ts";
import type { Sample } from "./samples.ts";
import type { Workshop } from "./workshop.ts";

const name = "a.gz";
const diskBytes = 1024 * 1024;

export function wholeFormats(evil: Uint8Array): readonly Sample[] {
  const packed = gzipSync(evil);
  const made = (format: string, make: (workshop: Workshop) => Buffer): Sample => ({ format, make });
  const head = (format: string, mark: string, rest: Uint8Array = packed) =>
    made(format, () => Buffer.concat([Buffer.from(mark, "latin1"), rest, Buffer.alloc(600)]));
  const filtered = (format: string, command: string, ...args: readonly string[]) =>
    made(format, (workshop) => workshop.run(command, args, { input: packed }));
  /** Of a folder with the marker in it. */
  const built = (format: string, file: string, command: string, ...args: readonly string[]) =>
    made(format, (workshop) => {
      const folder = workshop.folder({ [`a/${name}`]: packed });
      return workshop.file(file, folder, command, args);
    });
  const disk = (format: string, type: string, ...args: readonly string[]) =>
    made(format, (workshop) => {
      const raw = Buffer.alloc(diskBytes);
      packed.copy(raw, diskBytes / 2);
      return workshop.file("disk", workshop.folder({ raw }), "qemu-img", [
        "convert",
        "-f",
        "raw",
        "-O",
        type,
        ...args,
        "raw",
        "disk",
      ]);
    });
  const lz4 = (workshop: Workshop) => workshop.run("lz4", ["-c", "-q"], { input: packed });
  const rar5 = "Rar!\x1a\x07\x01\0";
  return [
    head("RAR 4 (head)", "Rar!\x1a\x07\0"),
    head("RAR 5 (head)", rar5),
    made("RAR 5 (head) in a zip", () =>
      madeZip([{ name: "a.rar", bytes: Buffer.concat([Buffer.from(rar5, "latin1"), packed]) }]),
    ),
    made("lz4 frame", lz4),
    made("lz4 in a tar", (workshop) => tar("a.lz4", lz4(workshop))),
    filtered("lz4, legacy", "lz4", "-l", "-c", "-q"),
    filtered("lzip", "lzip", "-c"),
    filtered("lzop", "lzop", "-c"),
    made("lrzip", (workshop) => workshop.file("a.lrz", workshop.folder({ a: evil }), "lrzip", ["-q", "-o", "a.lrz", "a"])),
    made("rzip", (workshop) => workshop.file("a.rz", workshop.folder({ a: evil }), "rzip", ["-k", "a"])),
    filtered("lzma", "xz", "--format=lzma", "-c"),
    made("lzma, rpm", (workshop) => rpm(workshop, "w9.lzdio", evil)),
    filtered("compress (.Z)", "compress", "-c", "-f"),
    made("zlib stream", () => deflateSync(evil)),
    made("snappy, framed", () => snappy(packed)),
    made("zpaq", (workshop) => workshop.file("a.zpaq", workshop.folder({ a: evil }), "zpaq", ["a", "a.zpaq", "a"])),
    built("dar", "x.1.dar", "dar", "-Q", "-q", "-zgzip", "-c", "x", "-g", "a"),
    made("zchunk", (workshop) => workshop.file("a.zck", workshop.folder({ a: packed }), "zck", ["-o", "a.zck", "a"])),
    built("WIM, XPRESS", "a.wim", "wimcapture", "a", "a.wim", "--compress=XPRESS"),
    built("WIM, LZMS (ESD)", "a.esd", "wimcapture", "a", "a.esd", "--compress=LZMS", "--solid"),
    built("SquashFS, gzip", "a.sqfs", "mksquashfs", "a", "a.sqfs", "-quiet", "-no-progress", "-comp", "gzip"),
    built("SquashFS, zstd", "a.sqfs", "mksquashfs", "a", "a.sqfs", "-quiet", "-no-progress", "-comp", "zstd"),
    head("cramfs (head)", "\x45\x3d\xcd\x28"),
    built("romfs", "a.romfs", "genromfs", "-d", "a", "-f", "a.romfs"),
    built("EROFS", "a.erofs", "mkfs.erofs", "--quiet", "a.erofs", "a"),
    built("ext4", "a.ext4", "mke2fs", "-q", "-t", "ext4", "-d", "a", "a.ext4", "4M"),
    made("FAT", (workshop) => {
      const folder = workshop.folder({ [name]: packed });
      workshop.run("mkfs.vfat", ["-C", "a.fat", "1440"], { cwd: folder });
      return workshop.file("a.fat", folder, "mcopy", ["-i", "a.fat", name, "::"]);
    }),
    head("NTFS (head)", "\xeb\x52\x90NTFS    "),
    disk("qcow2", "qcow2", "-c"),
    disk("VMDK", "vmdk", "-o", "subformat=streamOptimized"),
    disk("VDI", "vdi"),
    disk("VHD", "vpc"),
    disk("VHDX", "vhdx"),
    disk("QED", "qed"),
    made("git bundle", (workshop) => {
      const cwd = workshop.folder({ [name]: packed });
      const git = (...args: readonly string[]) =>
        workshop.run("git", ["-c", "user.name=a", "-c", "user.email=a@example.org", ...args], { cwd });
      git("init", "-q");
      git("add", name);
      git("commit", "-q", "-m", "a");
      return workshop.file("a.bundle", cwd, "git", ["bundle", "create", "-q", "a.bundle", "HEAD"]);
    }),
    head("asar (head)", '\x04\0\0\0\x40\0\0\0\x3c\0\0\0\x38\0\0\0{"files":{"a.gz":{"size":100,"offset":"0"}}}'),
    head("NAR (head)", "\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0"),
    head("WARC, gzip in it", `WARC/1.0\r\nWARC-Type: resource\r\nContent-Length: ${packed.length}\r\n\r\n`),
    head("AppImage (head)", "\x7fELF\x02\x01\x01\0AI\x02\0\0\0\0\0"),
    head("ActiveMime (head)", "ActiveMime\0\0\x01\xf0"),
    made("OpenPGP, compressed", () => compressedMessage(evil)),
  ];
}

/** Its framing format: what it holds is stored, in one chunk, whose checksum nobody here looks at. */
function snappy(bytes: Uint8Array): Buffer {
  const chunk = Buffer.alloc(8);
  chunk.writeUInt32LE(((bytes.length + 4) << 8) | 1);
  return Buffer.concat([Buffer.from("\xff\x06\0\0sNaPpY", "latin1"), chunk, bytes]);
}

/** RFC 9580 5.6, 5.9: a literal packet in a compressed one, of a length that is not said. */
function compressedMessage(bytes: Uint8Array): Buffer {
  const literal = Buffer.concat([Buffer.from([0xad, 0, 0]), Buffer.from("b\0\0\0\0\0", "latin1"), bytes]);
  literal.writeUInt16BE(literal.length - 3, 1);
  return Buffer.concat([Buffer.from([0xa3, 1]), deflateRawSync(literal)]);
}

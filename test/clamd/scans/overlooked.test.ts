import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { furtherReadings, longestPrefixBytes } from "../../../src/clamd/overlooked.ts";
import { tar } from "../../fault/tar.ts";

/** Each prefix as what it is for. */
function readings(head: Uint8Array): { readonly behind: readonly string[]; readonly isHidden: boolean } | null {
  const found = furtherReadings(head);
  if (found === null) return null;
  const { prefixes, isHidden } = found;
  return { behind: prefixes.map((prefix) => (prefix.length === 1 ? "line feed" : "tar")), isHidden };
}

const rest = Buffer.alloc(2000, "the rest ");
const head = (text: string) => Buffer.concat([Buffer.from(text, "latin1"), rest]);
const marked = (text: string, at: number, beginning = "") => {
  const bytes = Buffer.alloc(40_000, " ");
  bytes.write(beginning, 0, "latin1");
  bytes.write(text, at, "latin1");
  return bytes;
};
const only = (...behind: string[]) => ({ behind, isHidden: false });
const hidden = (...behind: string[]) => ({ behind, isHidden: true });

const ignored = [
  "ID3",
  "\xff\xfb\x90",
  "OggS",
  ".RMF",
  "SQLite format 3\0",
  "\x37\x7f\x06\x82\x00\x2d\xe2\x18",
  "\x37\x7f\x06\x83\x00\x2d\xe2\x18",
  "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",
  "SYMC\x01\x00",
  "SIP-HIT (SIP/H",
];
const ole2 = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const rgb = `/RGB\nID\n${"\xff".repeat(24)}`;

describe("furtherReadings", () => {
  test("has what clamd ignores read behind a line feed, and nothing that differs by a byte", () => {
    for (const text of ignored) {
      assert.deepEqual(readings(head(text)), only("line feed"), JSON.stringify(text));
      assert.deepEqual(readings(Buffer.from(text, "latin1")), only("line feed"), JSON.stringify(text));
      for (let index = 0; index < text.length; index += 1) {
        const other = head(text);
        other[index] = (other[index] ?? 0) ^ 0x20;
        assert.equal(readings(other), null, JSON.stringify(other.subarray(0, text.length).toString("latin1")));
      }
      assert.equal(readings(Buffer.from(text.slice(0, -1), "latin1")), null);
      assert.equal(readings(head(`\n${text}`)), null);
    }
  });

  test("is content with one scan of everything else", () => {
    const others = [
      "",
      "a",
      "ID",
      "IDX",
      "\xff\xfb\x50",
      "Ogg",
      "%PDF-1.7",
      "PK\x03\x04",
      "\x1f\x8b\x08",
      "MZ",
      "<html>",
      "GIF89a",
      "BM",
    ];
    for (const text of others) {
      assert.equal(readings(head(text)), null, text);
      assert.equal(readings(Buffer.from(text, "latin1")), null, text);
    }
    assert.equal(readings(new Uint8Array(40_000)), null);
  });

  test("calls the image magic hidden within the first 128 bytes, whatever the body begins with", () => {
    for (const at of [0, 1, 127, 128]) assert.deepEqual(readings(marked(rgb, at)), hidden(), `at ${at}`);
    assert.equal(readings(marked(rgb, 129)), null);
    assert.equal(readings(marked(rgb.slice(0, -1), 50)), null);
    assert.deepEqual(readings(marked(rgb, 50, "GIF89a")), hidden());
    assert.deepEqual(readings(marked(rgb, 50, "ID3")), hidden("line feed"));
    assert.deepEqual(readings(Buffer.from(rgb, "latin1")), hidden());
  });

  test("has a tar read as a tar whose first name clamd takes for another format, and leaves others alone", () => {
    const mistaken = [
      ...["%PDF-1.4", "GIF89a", "GIFs/a.gif", "MM/a.txt", "070701.csv", "xar!", "CWS", "{\\rtf", "\x89PNG"],
      ...["aa\r\n", "TFL_TFL3", "\x71\xc7", "Received-SPF: a"],
    ];
    for (const name of mistaken) assert.deepEqual(readings(tar(name, rest)), only("tar"), name);
    for (const name of [
      "a.txt",
      "../engine/",
      "MZ",
      "\x7fELF",
      "Rar!",
      "<html>",
      "PK\x03\x04",
      "BMW/x",
      "Makefile",
      "GI",
      "package/package.json",
    ]) {
      assert.equal(readings(tar(name, rest)), null, name);
    }
    assert.deepEqual(readings(tar("ID3", rest)), only("line feed"));
    assert.deepEqual(readings(tar("SQLite format 3", rest)), only("line feed", "tar"));
    assert.deepEqual(readings(tar("a.txt", Buffer.from("EFI PART"))), only("line feed", "tar"));
  });

  test("has a tar without ustar in it read as a tar, by either kind of checksum, and nothing whose checksum is wrong", () => {
    for (const name of ["a.txt", "MZ", "\xff\xfe", "%PDF-1.4"]) {
      const bytes = oldTar(name);
      assert.deepEqual(readings(bytes), only("tar"), name);
      assert.deepEqual(readings(bytes.subarray(0, 512)), only("tar"), name);
      assert.equal(readings(bytes.subarray(0, 511)), null);
      assert.deepEqual(readings(oldTar(name, { isSigned: true })), only("tar"), name);
      bytes[400] = 1;
      assert.equal(readings(bytes), null, name);
    }
    assert.deepEqual(readings(oldTar("ID3")), only("line feed", "tar"));
  });

  test("takes ASCII blanks alone before a tar's checksum, as tar programs do", () => {
    const bytes = oldTar("a.txt").subarray(0, 512);
    const digits = bytes.subarray(148, 154).toString("latin1");
    for (const [blank, isTar] of [
      [" ", true],
      ["\t", true],
      ["\v", true],
      ["\u00a0", false],
      ["\u0085", false],
    ] as const) {
      bytes.write(`${blank}${digits}\0`, 148, "latin1");
      assert.deepEqual(readings(bytes), isTar ? only("tar") : null, JSON.stringify(blank));
    }
  });

  test("calls a tar hidden whose first member has no name: clamd ends there", () => {
    assert.deepEqual(readings(tar("", rest)), hidden());
    assert.deepEqual(readings(oldTar("")), hidden("tar"));
  });

  test("calls a body hidden that has an OLE2 magic at its fifth byte", () => {
    assert.deepEqual(readings(marked(ole2, 4, "\x1f\x8b\x08\0")), hidden("line feed"));
    assert.deepEqual(readings(marked(ole2, 4)), hidden("line feed"));
    for (const at of [0, 3, 5]) assert.equal(readings(marked(ole2, at)), null, `at ${at}`);
  });

  test("has a partition table read behind a line feed, and calls hidden what a line feed would hide", () => {
    for (const text of ["", "PK\x03\x04", "<html>", "MZ", "%PDF-1.4", "From: a"]) {
      assert.deepEqual(readings(marked("EFI PART", 512, text)), only("line feed"), text);
    }
    for (const text of ["\x1f\x8b\x08", "BZh9", "\xfd7zXZ\0", "070701", "{\\rtf1", "\xd0\xcf\x11\xe0", "xar!"]) {
      assert.deepEqual(readings(marked("EFI PART", 512, text)), hidden("line feed"), text);
    }
    for (const at of [511, 513]) assert.equal(readings(marked("EFI PART", at)), null, `at ${at}`);
  });

  test("calls hidden what the line feed would move to where clamd mistakes it again", () => {
    assert.deepEqual(readings(marked(ole2, 3, "ID3")), hidden("line feed"));
    assert.deepEqual(readings(marked("EFI PART", 511, "ID3")), hidden("line feed"));
    assert.deepEqual(readings(marked("ustar", 256, "ID3")), hidden("line feed"));
    assert.deepEqual(readings(marked("ustar", 255, "ID3")), only("line feed"));
  });

  test("has an ISO image read behind a line feed that begins as what clamd does not search", () => {
    for (const text of ["PK\x03\x04", "\x1f\x8b\x08", "\xc7\x71"]) {
      assert.deepEqual(readings(marked("\x01CD001", 32_768, text)), only("line feed"), text);
      assert.equal(readings(marked("\x01CD001", 32_769, text)), null, text);
    }
    for (const text of ["", "MZ", "GIF89a"]) assert.equal(readings(marked("\x01CD001", 32_768, text)), null, text);
    const both = Buffer.concat([tar("a.txt", rest), Buffer.alloc(40_000)]);
    both.write("\x01CD001", 32_768, "latin1");
    assert.deepEqual(readings(both), only("line feed"));
  });

  test("names the longest of its prefixes", () => {
    const heads = [head("ID3"), oldTar("a")];
    const lengths = heads.flatMap((bytes) => (furtherReadings(bytes)?.prefixes ?? []).map((prefix) => prefix.length));
    assert.equal(Math.max(...lengths), longestPrefixBytes);
  });
});

/** As tar wrote before there was POSIX. */
function oldTar(name: string, { isSigned = false } = {}): Buffer {
  const bytes = tar("", rest);
  bytes.fill(0, 257, 265);
  bytes.write(name, 0, "latin1");
  bytes[300] = 0xff; // so that the two sums differ
  bytes.write("        ", 148);
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + (isSigned && byte >= 0x80 ? byte - 0x100 : byte), 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return bytes;
}

/** Bodies that the installed clamd overlooks by their first bytes, scanned as the gateway has them scanned, in memory and from files. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import { longestPrefixBytes } from "../../src/clamd/overlooked.ts";
import { readAgain } from "../../src/clamd/read-again.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import { memoryBytesPerBody, openPool, type PoolStage } from "../clamd/stage.ts";
import { tar } from "../fault/tar.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { bodySignature, marker, mebibyte, type RealClamd, startRealClamd, testSignatures } from "./clamd.ts";
import { iso } from "./iso.ts";
import { zip } from "./zip.ts";

const limits = { maxFileSize: mebibyte, maxScanSize: 2 * mebibyte };
/** clamd writes text in lower case before it looks for signatures of text. */
const signatures = { ...testSignatures, "lower.ndb": bodySignature("Clamgate.Test.Lower", marker.toLowerCase()) };
const clean: Verdict = { kind: "clean" };
const ignoredType = { kind: "unscannable", reason: "unsupported", heuristic: "Heuristics.Clamgate.IgnoredType" };

const latin1 = (text: string) => Buffer.from(text, "latin1");
/** Nothing of it shows the marker but to who unpacks it. */
const packed = gzipSync(`${marker} ${"x".repeat(500)}`);
const zipped = zip([{ name: "a.txt", bytes: Buffer.from(`${marker} ${"x".repeat(500)}`) }]);
const entities = [...marker].map((letter) => `&#${letter.charCodeAt(0)};`).join("");
const html = Buffer.from(`<html><body><script>var a = 1;</script><p>${entities}</p></body></html>\n`);
const mail = Buffer.from(
  `From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n${packed.toString("base64")}\r\n`,
);
const pdfStream = deflateSync(`${marker} ${"x".repeat(500)}`);
const pdf = Buffer.concat([
  Buffer.from(`%PDF-1.4\n1 0 obj\n<< /Length ${pdfStream.length} /Filter /FlateDecode >>\nstream\n`),
  pdfStream,
  Buffer.from("\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"),
]);

const ignored: Readonly<Record<string, Buffer>> = {
  ID3: latin1("ID3"),
  "an MP3 frame": latin1("\xff\xfb\x90"),
  Ogg: latin1("OggS"),
  RealMedia: latin1(".RMF"),
  SQLite: latin1("SQLite format 3\0"),
  "an SQLite WAL": latin1("7\x7f\x06\x82\0-\xe2\x18"),
  "an SQLite WAL of the other byte order": latin1("7\x7f\x06\x83\0-\xe2\x18"),
  "an SQLite journal": latin1("\xd9\xd5\x05\xf9 \xa1c\xd7"),
  "a Symantec data file": latin1("SYMC\x01\0"),
  "a SIP log": latin1("SIP-HIT (SIP/H"),
};
const contents: Readonly<Record<string, Buffer>> = {
  "plain bytes": Buffer.concat([Buffer.alloc(64), Buffer.from(marker), Buffer.alloc(64)]),
  "a script": Buffer.from(`=1\n#!/bin/sh\necho ${marker}\n`),
  PHP: Buffer.from(`<?php echo "${marker}"; ?>\n`),
  HTML: html,
  mail: Buffer.concat([Buffer.from(": a\r\n"), mail]),
  PDF: Buffer.concat([Buffer.from("\n"), pdf]),
  zip: zipped,
  "7z": await readFile("/usr/share/clamav-testfiles/clam.7z"),
};

const overlooked: Readonly<Record<string, Buffer>> = {
  "an ISO image that begins as a song": begunBy(iso(packed), "ID3"),
  "an ISO image that begins as a zip": begunBy(iso(packed), "PK\x03\x04"),
  "an ISO image that begins as gzip": begunBy(iso(packed), "\x1f\x8b"),
  "an ISO image that begins as a tar": Buffer.concat([tar("a.txt", Buffer.alloc(0)).subarray(0, 512), iso(packed).subarray(512)]),
  "a tar that begins as PDF": tar("%PDF-1.4", packed),
  "a tar that begins as GIF": tar("GIF89a", packed),
  "a tar that begins as TIFF": tar("MM/a.gz", packed),
  "a tar that begins as SQLite": tar("SQLite format 3", packed),
  "a tar that begins as cpio": tar("070701.gz", packed),
  "a tar without ustar, of a program": oldTar("MZ", packed),
  "a tar without ustar, of a song": oldTar("ID3", packed),
  "a tar without ustar, of a text in UTF-16": oldTar("\xff\xfe", packed),
  "a tar of a partition table": Buffer.concat([tar("a", Buffer.from("EFI PART")).subarray(0, 1024), tar("b.gz", packed)]),
  "a zip with a partition table": withPartitions(
    zip([{ name: "n".repeat(600), bytes: Buffer.from(`${marker} ${"x".repeat(500)}`) }]),
  ),
  "HTML with a partition table": withPartitions(Buffer.concat([Buffer.from(`<!--${" ".repeat(600)}-->`), html])),
};
/** Nothing is overlooked in these, and that is to stay so. */
const seen: Readonly<Record<string, Buffer>> = {
  "a tar": tar("a.gz", packed),
  "a tar without ustar": oldTar("a.gz", packed),
  "a tar of a song": tar("ID3", packed),
  "a tar of a program": tar("MZ", packed),
  "a tar of a zip": tar("PK\x03\x04", packed),
  "a tar of a page": tar("<html>", packed),
};
const hidden: Readonly<Record<string, Buffer>> = {
  "a script with the image magic": latin1(`#!/bin/sh\n# /RGB\nID\n${"\xff".repeat(24)}\necho ${marker}\n`),
  "HTML with the image magic": Buffer.concat([latin1(`<!-- /RGB\nID\n${"\xff".repeat(24)} -->`), html]),
  "gzip with an OLE2 magic where its time is": ole2Gzip(),
  "gzip with a partition table": withPartitions(gzipOfName("n".repeat(600))),
};

for (const [how, sharesSpool] of [
  ["INSTREAM", false],
  ["SCAN of files", true],
] as const) {
  describe(`bodies that clamd overlooks, by ${how}`, () => {
    let clamd: RealClamd;
    let stage: PoolStage;
    before(async () => {
      clamd = await startRealClamd({ signatures, limits });
      stage = await openPool({ addresses: [clamd.address], backend: { slots: () => clamd.slots, sharesSpool } });
    });
    after(async () => {
      await stage[Symbol.asyncDispose]();
      await clamd[Symbol.asyncDispose]();
    });

    const judge = async (bytes: Buffer) => {
      await using body = await stage.body(bytes);
      return (await readAgain(stage.pool).scan(body, new AbortController().signal, "a client")).verdict;
    };
    /** clamd alone: so that a test that proves nothing is found out. */
    const judgedByClamd = async (bytes: Buffer) => (await stage.scan(bytes)).verdict.kind;
    /** As it is, and made so long that the spool has it in a file. */
    const sizes = (bytes: Buffer) => [bytes, Buffer.concat([bytes, Buffer.alloc(memoryBytesPerBody, "\n")])];

    for (const [head, first] of Object.entries(ignored)) {
      test(`finds what is behind the head of ${head}`, async () => {
        for (const [name, content] of Object.entries(contents)) {
          for (const bytes of sizes(Buffer.concat([first, content]))) {
            assert.equal(await judgedByClamd(bytes), "clean", `${name} in ${bytes.length} bytes, by clamd`);
            assert.equal((await judge(bytes)).kind, "infected", `${name} in ${bytes.length} bytes`);
          }
        }
        assert.deepEqual(await judge(Buffer.concat([first, randomBytes(5000)])), clean);
      });
    }

    for (const [name, bytes] of Object.entries({ ...overlooked, ...seen })) {
      test(`finds what is in ${name}`, async () => {
        for (const body of sizes(bytes)) {
          assert.equal(await judgedByClamd(body), name in seen ? "infected" : "clean", `${body.length} bytes, by clamd`);
          assert.equal((await judge(body)).kind, "infected", `${body.length} bytes`);
        }
      });
    }

    for (const [name, bytes] of Object.entries(hidden)) {
      test(`calls ${name} unscannable`, async () => {
        for (const body of sizes(bytes)) {
          assert.equal(await judgedByClamd(body), "clean", `${body.length} bytes, by clamd`);
          assert.deepEqual(await judge(body), ignoredType, `${body.length} bytes`);
        }
      });
    }

    test("calls songs, databases, tars, images and disks clean that are what they seem", async () => {
      const text = Buffer.from("no harm in this\n".repeat(50));
      const ordinary = {
        "an MP3": Buffer.concat([latin1("ID3\x04\0\0\0\0\0\0"), latin1("\xff\xfb\x90\x64"), randomBytes(200_000)]),
        "an MP3 without a tag": Buffer.concat([latin1("\xff\xfb\x90\x64"), randomBytes(200_000)]),
        "an Ogg": Buffer.concat([latin1("OggS\0\x02"), randomBytes(200_000)]),
        "a database": await database(),
        "a tar of pictures": tar("GIFs/a.gif", Buffer.from("GIF89a")),
        "a tar of a date": tar("070701.csv", text),
        "an old tar": oldTar("a.txt", text),
        "a disk": withPartitions(Buffer.alloc(100_000)),
        "an ISO image": iso(text),
      };
      for (const [name, bytes] of Object.entries(ordinary)) assert.deepEqual(await judge(bytes), clean, name);
    });

    test("takes the largest bodies with what is put before them", async () => {
      for (const size of [-1, 0].map((more) => limits.maxFileSize + more)) {
        for (const first of [latin1("ID3"), oldTar("MZ", Buffer.alloc(0))]) {
          const bytes = Buffer.concat([first, Buffer.alloc(size - first.length, "no harm. ")]);
          assert.deepEqual(await judge(bytes), clean, `${size} bytes`);
          bytes.write(marker, size - marker.length);
          assert.equal((await judge(bytes)).kind, "infected", `${size} bytes`);
        }
      }
      // A front takes no such body. Where one comes all the same, it is not called clean.
      const bytes = Buffer.concat([latin1("ID3"), Buffer.alloc(limits.maxFileSize + longestPrefixBytes)]);
      assert.equal((await judge(bytes)).kind, "unscannable");
    });
  });
}

function begunBy(bytes: Buffer, head: string): Buffer {
  const begun = Buffer.from(bytes);
  begun.write(head, 0, "latin1");
  return begun;
}

function withPartitions(bytes: Buffer): Buffer {
  const made = Buffer.from(bytes);
  made.write("EFI PART", 512);
  return made;
}

/** As tar wrote before there was POSIX. */
function oldTar(name: string, bytes: Buffer): Buffer {
  const made = tar(name, bytes);
  made.fill(0, 257, 265);
  made.write("        ", 148);
  const sum = made.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  made.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return made;
}

/** RFC 1952: a name may be as long as it likes. */
function gzipOfName(name: string): Buffer {
  return Buffer.concat([latin1("\x1f\x8b\x08\x08"), packed.subarray(4, 10), latin1(`${name}\0`), packed.subarray(10)]);
}

function ole2Gzip(): Buffer {
  return Buffer.concat([latin1("\x1f\x8b\x08\x08\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0"), packed.subarray(10)]);
}

async function database(): Promise<Buffer> {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "a.db");
  const made = new DatabaseSync(path);
  made.exec("CREATE TABLE a (b TEXT)");
  made.exec("BEGIN");
  const insert = made.prepare("INSERT INTO a VALUES (?)");
  for (let row = 0; row < 1000; row += 1) insert.run(`no harm in row ${row}`);
  made.exec("COMMIT");
  made.close();
  return readFile(path);
}

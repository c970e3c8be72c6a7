/** Packages, packed files and messages that are opened rather than refused: what of them is handed over, and what is said where that cannot be. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { furtherReadings } from "../../src/clamd/overlooked.ts";
import { tar } from "../fault/tar.ts";
import { nameOf, opened } from "./inspecting.ts";
import { ar, makeself, rpm } from "./made-packages.ts";
import { harmless } from "./made-zip.ts";
import { toolSample } from "./tool-samples.ts";

const packed = gzipSync(harmless);
const zstd = zstdCompressSync(harmless);
const skippable = Buffer.from("502a4d1803000000616263", "hex");

describe("what is opened", () => {
  test("members of ar become those of a tar, whatever their names and lengths", async () => {
    const bsd = Buffer.concat([Buffer.from("a long name."), harmless.subarray(0, 101)]);
    const { found, pieces } = await opened(
      ar(["a/", packed], ["b/", harmless.subarray(0, 1)], ["#1/12", bsd], ["none/", Buffer.alloc(0)]),
    );
    assert.equal(found, null);
    const inside = [packed, harmless.subarray(0, 1), harmless.subarray(0, 101)];
    assert.deepEqual(
      pieces.map(({ isScanned, bytes }) => [isScanned, membersOf(bytes)]),
      [[false, inside]],
    );
  });

  test("large members of ar are handed over each as it is, behind the tar of the others", async () => {
    const [least, more] = [Buffer.alloc(256 * 1024, "large"), Buffer.alloc(256 * 1024 + 1, "larger")];
    const most = least.subarray(1);
    const { found, pieces } = await opened(ar(["a/", least], ["b/", most], ["c/", more], ["d/", packed]));
    assert.equal(found, null);
    const [first, ...others] = pieces.map(({ bytes }) => bytes);
    assert.deepEqual(membersOf(first ?? harmless), [most, packed]);
    assert.deepEqual(others, [least, more]);
    assert.ok(pieces.every(({ isScanned }) => !isScanned));
    assert.deepEqual((await opened(ar(["a/", least]))).pieces, [{ isScanned: false, bytes: least }]);
  });

  test("the tar of ar's members needs one scan", async () => {
    const { pieces } = await opened(ar(["a/", packed]));
    assert.deepEqual(
      pieces.map(({ bytes }) => furtherReadings(bytes)),
      [null],
    );
  });

  test("of ar what stands before a header that is broken, and it is told", async () => {
    const whole = ar(["a/", packed], ["b/", harmless]);
    for (const bytes of [
      Buffer.concat([ar(["a/", packed]), Buffer.from("what is this?")]),
      Buffer.concat([ar(["a/", packed]), Buffer.from(`${"b/".padEnd(48)}${"-5".padEnd(10)}\`\n`)]),
      whole.subarray(0, whole.length - harmless.length - 3),
    ]) {
      const { found, pieces } = await opened(bytes);
      assert.equal(found?.heuristic, "Heuristics.Clamgate.Ar.Header");
      assert.deepEqual(
        pieces.map((piece) => membersOf(piece.bytes)[0]),
        [packed],
      );
    }
  });

  test("has as many members as may be, and no more", async () => {
    const bytes = ar(...Array.from({ length: 5 }, (_, index) => [`${index}/`, harmless] as const));
    assert.equal(await nameOf(bytes, { maxFiles: 5 }), null);
    assert.equal(await nameOf(bytes, { maxFiles: 4 }), "limit-files");
  });

  for (const [name, whole, expected] of [
    ["an rpm's payload", rpm(packed), packed],
    ["makeself's payload", makeself(packed), packed],
    ["makeself's payload in zstd", makeself(zstd), zstd],
    ["makeself's payload as a tar", makeself(tar("a", harmless)), tar("a", harmless)],
    ["zstd", zstd, harmless],
    ["zstd in two frames", Buffer.concat([zstd, zstd]), Buffer.concat([harmless, harmless])],
    ["zstd behind a frame to be skipped", Buffer.concat([skippable, zstd]), harmless],
  ] as const) {
    test(`${name} is handed over`, async () => {
      assert.deepEqual(await opened(whole), { found: null, pieces: [{ isScanned: false, bytes: expected }] });
    });
  }

  for (const [expected, name, bytes] of [
    ["Rpm.Header", "an rpm without headers", rpm(packed).subarray(0, 100)],
    ["Rpm.Header", "an rpm whose headers go beyond its end", rpm(packed).subarray(0, 140)],
    ["Makeself.Payload", "makeself of what is not known", makeself(Buffer.from("H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=="))],
    ["Zstd.Stream", "zstd that is cut", zstd.subarray(0, -3)],
    ["Zstd.Stream", "zstd with bytes behind it", Buffer.concat([zstd, harmless])],
    ["Zstd.Stream", "zstd in name only", Buffer.from("28b52ffd00", "hex")],
  ] as const) {
    test(`${name} is ${expected}`, async () => assert.equal(await nameOf(bytes), expected));
  }

  for (const [name, texts] of [
    ["two.bz2", ["no harm in this", "CLAMGATE-"]],
    ["four.bz2", ["no harm in this", "no harm in this", "no harm in this", "CLAMGATE-"]],
  ] as const) {
    test(`streams of ${name} become one of as many blocks`, async () => {
      const { found, pieces } = await opened(toolSample(name));
      assert.equal(found, null);
      assert.equal(pieces.length, 1);
      const [{ isScanned, bytes } = { isScanned: true, bytes: Buffer.alloc(0) }] = pieces;
      assert.equal(isScanned, false);
      assert.equal(bytes.indexOf("BZh", 1), -1);
      // One stream is left as it is: there is nothing more to join.
      assert.deepEqual(await opened(bytes), { found: null, pieces: [] });
      assert.ok(bytes.length < toolSample(name).length + texts.length);
    });
  }

  test("bzip2 of one stream is left to the engine, whatever stands behind it", async () => {
    const [first = 0] = [toolSample("two.bz2").indexOf("BZh", 1)];
    for (const behind of ["", "garbage", "BZh9", "BZh91AY"]) {
      const bytes = Buffer.concat([toolSample("two.bz2").subarray(0, first), Buffer.from(behind)]);
      assert.deepEqual(await opened(bytes), { found: null, pieces: [] });
    }
  });

  for (const name of ["signed.p7m", "streamed.p7m"] as const) {
    test(`the content of ${name} is handed over as the mail that it is`, async () => {
      const { found, pieces } = await opened(toolSample(name));
      assert.equal(found, null);
      assert.deepEqual(
        pieces.map(({ isScanned, bytes }) => [isScanned, bytes.toString("latin1").slice(0, 45)]),
        [[false, "MIME-Version: 1.0\r\nContent-Type: multipart/mi"]],
      );
    });

    test(`the content of ${name} where it is cut is told`, async () => {
      assert.equal(await nameOf(toolSample(name).subarray(0, 200)), "Smime.Content");
    });
  }

  for (const [name, expected] of [
    ["signed.eml", "signed.p7m"],
    ["signed.pem", "signed.p7m"],
  ] as const) {
    test(`${name} holds what is to be looked into`, async () => {
      const { found, pieces } = await opened(toolSample(name));
      assert.equal(found, null);
      assert.deepEqual(
        pieces.map(({ isScanned }) => isScanned),
        [true],
      );
      assert.equal((await opened(pieces[0]?.bytes ?? Buffer.alloc(0))).pieces.length, 1, `as ${expected}`);
    });
  }

  test("what is in a mail, a tar and gzip is handed over where that is worth a look", async () => {
    const inner = toolSample("BZip2.7z");
    const lines = inner.toString("base64").replace(/.{76}/g, "$&\r\n");
    const part = (text: string) => `--x\r\nContent-Transfer-Encoding: base64\r\n\r\n${text}\r\n`;
    const mail = `From: a\r\nMIME-Version: 1.0\r\n\r\n${part(harmless.toString("base64"))}${part(lines)}--x--\r\n`;
    for (const bytes of [Buffer.from(mail), Buffer.from(mail.replaceAll("\r", "")), tar("a.7z", inner), gzipSync(inner)]) {
      assert.deepEqual(await opened(bytes), { found: null, pieces: [{ isScanned: true, bytes: inner }] });
    }
    for (const bytes of [Buffer.from(mail.replace(lines, lines.slice(4))), tar("a.txt", harmless), gzipSync(gzipSync(harmless))])
      assert.deepEqual(await opened(bytes), { found: null, pieces: [] });
    assert.equal((await opened(gzipSync(gzipSync(tar("a", harmless))))).pieces.length, 1);
  });

  test("what is unpacked in many chunks is what was packed", async () => {
    // It packs to more than is read at once, and unpacks to more than that.
    const random = createHash("shake256", { outputLength: 600_000 }).digest();
    const inner = tar("a", Buffer.concat([random, Buffer.alloc(2_000_000)]));
    const [gzip, packedInZstd] = [gzipSync(inner), zstdCompressSync(inner)];
    assert.ok(Math.min(gzip.length, packedInZstd.length) >= random.length);
    assert.deepEqual(await opened(gzip), { found: null, pieces: [{ isScanned: true, bytes: inner }] });
    assert.deepEqual(await opened(packedInZstd), { found: null, pieces: [{ isScanned: false, bytes: inner }] });
  });

  test("a piece that the operator calls unsupported is told", async () => {
    const lzop = Buffer.from("894c5a4f000d0a1a0a00", "hex");
    const formats = ["lzop", "zstd"] as const;
    assert.equal(await nameOf(lzop, { formats, isPiece: true }), "unsupported");
    assert.equal(await nameOf(zstd, { formats, isPiece: true }), "unsupported");
    assert.equal(await nameOf(lzop, { formats: ["zstd"], isPiece: true }), null);
    assert.equal(await nameOf(lzop, { formats }), null, "of a body itself the scan tells");
    assert.deepEqual((await opened(tar("a", lzop), { formats })).pieces, [{ isScanned: true, bytes: lzop }]);
  });
});

function membersOf(bytes: Buffer): readonly Buffer[] {
  const members: Buffer[] = [];
  for (let at = 0; bytes[at] !== undefined; ) {
    const size = Number.parseInt(bytes.toString("latin1", at + 124, at + 135), 8);
    members.push(bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}

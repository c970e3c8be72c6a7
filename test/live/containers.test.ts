/** Bodies that the installed clamd does not open or opens in part, by clamd alone and as the gateway has them scanned. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { Verdict } from "../../src/core/verdict.ts";
import { openPool, type PoolStage } from "../clamd/stage.ts";
import { ar, makeself, rpm } from "../containers/made-packages.ts";
import { endRecord, harmless, longSizes, type MadeEntry, type MadeZip, madeZip } from "../containers/made-zip.ts";
import { type ToolSample, toolSample } from "../containers/tool-samples.ts";
import { tar } from "../fault/tar.ts";
import { marker, markerName, type RealClamd, startRealClamd } from "./clamd.ts";
import { insideOf } from "./inside.ts";

/** Stored bytes would show it: it is packed first where the container does not. */
const evil = Buffer.from(`${marker} ${"x".repeat(500)}`);
const one = (entry: MadeEntry, zip: MadeZip = {}) => madeZip([{ bytes: evil, ...entry }], zip);
const front = Buffer.from("#!/bin/sh\nexit 0\n");
const tools = (...names: readonly ToolSample[]) => Object.fromEntries(names.map((name) => [name, toolSample(name)]));

/** Not found, and refused for it. */
const refused: Readonly<Record<string, Buffer>> = {
  ...tools("LZMA.zip", "PPMd.zip", "BZip2.7z", "Deflate.7z", "Deflate64.7z", "delta.7z", "later.7z"),
  ...tools("enc.arj", "sym.gpg", "key.gpg", "key.asc", "enveloped.eml", "authenveloped.eml", "enveloped.p7m", "enveloped.pem"),
  "another method in the local header": one({ local: { method: 99 } }),
  "no packed bytes in the local header": one({ local: { packedSize: 0 } }),
  "a masked local header": one({ local: { flags: 0x2000 } }),
  "no end record": one({}).subarray(0, -22),
  "a descriptor, and an end record in the comment": one(
    { hasDescriptor: true },
    { comment: endRecord({ entries: 0, size: 0, offset: 0 }) },
  ),
  "PK00 in front": Buffer.concat([Buffer.from("PK00"), one({})]),
  "a zip behind gzip": Buffer.concat([gzipSync(harmless), one({})]),
  "7z behind gzip": Buffer.concat([gzipSync(harmless), toolSample("LZMA.7z")]),
  "a zip behind a tar": Buffer.concat([tar("a", harmless), one({})]),
  "7z behind a tar": Buffer.concat([tar("a", harmless), toolSample("LZMA.7z")]),
};

const packed = gzipSync(evil);
const long = { packedSize: 0xffff_ffff, size: 0xffff_ffff, extra: longSizes(evil.length, packedBytes(evil)) };
const zstd = zstdCompressSync(packed);
const mail = (bytes: Buffer) =>
  Buffer.from(
    `From: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n${bytes.toString("base64").replace(/.{76}/g, "$&\n")}\n--x--\n`,
  );

/** Not found by clamd, but in a piece that is handed to it. */
const opened: Readonly<Record<string, Buffer>> = {
  ...tools("stdin.zip", "attachment.pdf", "two.bz2", "four.bz2", "signed.eml", "signed.p7m", "streamed.p7m", "signed.pem"),
  "long sizes in the local header": one({ local: long }),
  "a descriptor behind a script": one({ hasDescriptor: true }, { front }),
  "a descriptor behind a script that is counted": one({ hasDescriptor: true }, { front, countsFront: true }),
  "a zip behind a zip": Buffer.concat([madeZip([{}]), one({ hasDescriptor: true })]),
  "the first of two zips": Buffer.concat([one({}), madeZip([{}])]),
  "a member of ar": ar(["a/", Buffer.from("a")], ["b/", packed]),
  "a deb, packed with zstd": ar(["debian-binary", Buffer.from("2.0\n")], ["data.tar.zst", zstdCompressSync(tar("a.gz", packed))]),
  "an rpm's payload": rpm(packed),
  "an rpm's payload in zstd": rpm(zstd),
  "makeself's payload": makeself(packed),
  zstd,
  "zstd in a zip": madeZip([{}, { bytes: zstd, name: "b" }]),
  "zstd in a tar, in gzip": gzipSync(tar("b", zstd)),
  "zstd in a mail": mail(zstd),
  "a deb in a zip in zstd": zstdCompressSync(madeZip([{ bytes: ar(["a/", packed]) }])),
};

/** Not found, as the same alone. */
const nested: Readonly<Record<string, Buffer>> = Object.fromEntries(
  Object.entries({
    "LZMA.zip": toolSample("LZMA.zip"),
    "BZip2.7z": toolSample("BZip2.7z"),
    "enc.arj": toolSample("enc.arj"),
  }).flatMap(([name, bytes]) => [
    [`${name} in a zip`, madeZip([{ bytes }])],
    [`${name} in a tar`, tar("a", bytes)],
    [`${name} in a tar, in gzip`, gzipSync(tar("a", bytes))],
    [`${name} in a mail`, mail(bytes)],
    [`${name} in ar`, ar(["a/", bytes])],
    [`${name} in zstd`, zstdCompressSync(bytes)],
  ]),
);

/** Found in spite of what is odd about them: to refuse them would help nobody. */
const found: Readonly<Record<string, Buffer>> = {
  ...tools("LZMA.7z", "LZMA2.7z", "PPMd.7z", "many.7z", "bcj.7z", "bcj2.7z", "Deflate64.zip", "BZip2.zip", "plain.arj"),
  ...tools("attachment-in-objects.pdf"),
  "a descriptor": one({ hasDescriptor: true }),
  "a script in front": one({}, { front }),
  "a script in front that is counted": one({}, { front, countsFront: true }),
  "a line feed behind it": one({}, { behind: Buffer.from("\n") }),
  "a zip in a tar": tar("a.zip", one({})),
};

const harmlessBodies: Readonly<Record<string, Buffer>> = {
  ...tools("signed.asc", "clear.asc", "detached.sig", "public.gpg", "detached.eml", "certificates.p7b", "certificates.pem"),
  ...tools("certificate.der", "certificate.pem"),
  "a zip": madeZip([{}, { name: "b", hasDescriptor: true }]),
  "a text": Buffer.from("x^2 is a text, and so are Rar!, BZh9, PACK and ID3\n"),
};

function packedBytes(bytes: Buffer): number {
  return madeZip([{ bytes }]).readUInt32LE(18);
}

for (const sharesSpool of [false, true]) {
  describe(`containers, by ${sharesSpool ? "SCAN of files" : "INSTREAM"}`, () => {
    let clamd: RealClamd;
    let stage: PoolStage;
    before(async () => {
      clamd = await startRealClamd();
      stage = await openPool({ addresses: [clamd.address], backend: { slots: () => clamd.slots, sharesSpool } });
    });
    after(async () => {
      await stage[Symbol.asyncDispose]();
      await clamd[Symbol.asyncDispose]();
    });

    async function judge(bytes: Buffer): Promise<readonly [byClamd: Verdict, byGateway: Verdict]> {
      const signal = new AbortController().signal;
      await using body = await stage.body(bytes);
      const alone = await stage.pool.scan(body, signal, "a client");
      return [alone.verdict, (await insideOf(stage).scan(body, signal, "a client")).verdict];
    }

    for (const [name, bytes] of Object.entries(opened)) {
      test(`finds what clamd does not: ${name}`, async () => {
        const [alone, whole] = await judge(bytes);
        assert.equal(alone.kind, "clean", "by clamd");
        assert.deepEqual(whole, { kind: "infected", signatures: [markerName] });
      });
    }
    for (const [name, bytes] of Object.entries({ ...refused, ...nested })) {
      test(`refuses what clamd calls clean: ${name}`, async () => {
        const [alone, whole] = await judge(bytes);
        assert.equal(alone.kind, "clean", "by clamd");
        assert.match(whole.kind === "unscannable" ? (whole.heuristic ?? "") : "", /^Heuristics\.Clamgate\./);
      });
    }
    for (const [name, bytes] of Object.entries(found)) {
      test(`finds what is in ${name}`, async () => {
        assert.deepEqual(
          (await judge(bytes)).map(({ kind }) => kind),
          ["infected", "infected"],
        );
      });
    }
    for (const [name, bytes] of Object.entries(harmlessBodies)) {
      test(`passes ${name}`, async () => {
        assert.deepEqual(
          (await judge(bytes)).map(({ kind }) => kind),
          ["clean", "clean"],
        );
      });
    }
  });
}

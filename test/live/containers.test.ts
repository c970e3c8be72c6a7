/** Bodies that the installed clamd does not open or opens in part, by clamd alone and as the gateway has them scanned. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { readAgain } from "../../src/clamd/read-again.ts";
import { createInspect } from "../../src/containers/inspect.ts";
import { lookInside } from "../../src/core/look-inside.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import { openPool, type PoolStage } from "../clamd/stage.ts";
import { endRecord, harmless, longSizes, type MadeEntry, type MadeZip, madeZip } from "../containers/made-zip.ts";
import { type ToolSample, toolSample } from "../containers/tool-samples.ts";
import { tar } from "../fault/tar.ts";
import { marker, type RealClamd, startRealClamd } from "./clamd.ts";

/** Stored bytes would show it: it is packed first where the container does not. */
const evil = Buffer.from(`${marker} ${"x".repeat(500)}`);
const one = (entry: MadeEntry, zip: MadeZip = {}) => madeZip([{ bytes: evil, ...entry }], zip);
const front = Buffer.from("#!/bin/sh\nexit 0\n");
const tools = (...names: readonly ToolSample[]) => Object.fromEntries(names.map((name) => [name, toolSample(name)]));

/** Not found, and refused for it. */
const refused: Readonly<Record<string, Buffer>> = {
  ...tools(
    "LZMA.zip",
    "PPMd.zip",
    "stdin.zip",
    "BZip2.7z",
    "Deflate.7z",
    "Deflate64.7z",
    "delta.7z",
    "later.7z",
    "attachment.pdf",
  ),
  ...tools("enc.arj", "sym.gpg", "key.gpg", "key.asc", "enveloped.eml", "authenveloped.eml", "enveloped.p7m", "enveloped.pem"),
  "another method in the local header": one({ local: { method: 99 } }),
  "no packed bytes in the local header": one({ local: { packedSize: 0 } }),
  "a masked local header": one({ local: { flags: 0x2000 } }),
  "long sizes in the local header": one({ local: { packedSize: 0xffff_ffff, size: 0xffff_ffff, extra: longSizes(1, 1) } }),
  "a descriptor behind a script": one({ hasDescriptor: true }, { front }),
  "no end record": one({}).subarray(0, -22),
  "a zip behind a zip": Buffer.concat([madeZip([{}]), one({ hasDescriptor: true })]),
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
      const inspect = createInspect({ maxMs: 10_000, maxFiles: 10_000, clock: () => performance.now() });
      await using body = await stage.body(bytes);
      const alone = await stage.pool.scan(body, signal, "a client");
      return [alone.verdict, (await lookInside(readAgain(stage.pool), inspect).scan(body, signal, "a client")).verdict];
    }

    for (const [name, bytes] of Object.entries(refused)) {
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

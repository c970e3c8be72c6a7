import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { ok } from "../../fake/origin.ts";
import { maxBytes, openProxy, virusMark } from "./proxy-stage.ts";

const virus = Buffer.from(`${"padding ".repeat(50)}${virusMark}`);
const harmless = Buffer.from("harmless ".repeat(50));
const coders = {
  gzip: gzipSync,
  "x-gzip": gzipSync,
  GZip: gzipSync,
  deflate: deflateSync,
  "deflate ": deflateRawSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
  "gzip, br": (bytes: Buffer) => brotliCompressSync(gzipSync(bytes)),
  "identity, deflate, gzip, zstd": (bytes: Buffer) => zstdCompressSync(gzipSync(deflateSync(bytes))),
  "bzip2, gzip": gzipSync,
} as const;

describe("an encoded answer (P21)", () => {
  for (const [coding, encode] of Object.entries(coders)) {
    test(`in ${coding} is scanned as it decodes, and delivered as it came`, async () => {
      await using proxy = await openProxy(({ path }) =>
        ok(encode(path === "/v" ? virus : harmless), `Content-Encoding: ${coding}`),
      );
      const passed = await proxy.get("/x");
      assert.equal(passed.status, 200);
      assert.ok(passed.body.equals(encode(harmless)));
      assert.equal(passed.header("content-encoding"), coding.trim());
      const blocked = await proxy.get("/v");
      assert.deepEqual([blocked.status, blocked.header("x-clamgate-signature")], [409, "Test.Mark"]);
      assert.equal(proxy.spool.usage().bodies, 0);
    });
  }

  test("over several header lines is decoded in their order", async () => {
    await using proxy = await openProxy(() =>
      ok(brotliCompressSync(gzipSync(virus)), "Content-Encoding: gzip", "Content-Encoding: br"),
    );
    assert.equal((await proxy.get("/x")).status, 409);
  });

  test("is scanned raw as well", async () => {
    const coded = gzipSync(harmless);
    await using proxy = await openProxy(() => ok(coded, "Content-Encoding: gzip"));
    proxy.engine.answerAll(({ bytes }) =>
      bytes !== null && coded.equals(bytes) ? { kind: "infected", signatures: ["Raw"] } : { kind: "clean" },
    );
    assert.equal((await proxy.get("/x")).status, 409);
  });

  test("in every layer: one that is infected only half decoded is blocked", async () => {
    const inner = gzipSync(harmless);
    await using proxy = await openProxy(() => ok(brotliCompressSync(inner), "Content-Encoding: gzip, br"));
    proxy.engine.answerAll(({ bytes }) =>
      bytes !== null && inner.equals(bytes) ? { kind: "infected", signatures: ["Half"] } : { kind: "clean" },
    );
    assert.equal((await proxy.get("/x")).status, 409);
  });

  test("in a coding that nobody knows is opaque: scanned raw, delivered", async () => {
    await using proxy = await openProxy(({ path }) => ok(path === "/v" ? virus : harmless, "Content-Encoding: bzip2"));
    const answer = await proxy.get("/x");
    assert.deepEqual([answer.status, answer.header("content-encoding")], [200, "bzip2"]);
    assert.equal((await proxy.get("/v")).status, 409);
    assert.equal(proxy.engine.scans.length, 2);
  });

  test("that is empty is empty", async () => {
    await using proxy = await openProxy(() => ok("", "Content-Encoding: gzip"));
    const answer = await proxy.get("/x");
    assert.deepEqual([answer.status, answer.header("content-length")], [200, "0"]);
  });

  for (const [name, body] of [
    ["is not in its coding", harmless],
    ["is cut short", gzipSync(harmless).subarray(0, -9)],
    [
      "has a wrong checksum",
      Buffer.concat([gzipSync(harmless).subarray(0, -8), Buffer.alloc(4), gzipSync(harmless).subarray(-4)]),
    ],
  ] as const) {
    test(`that ${name} is 502: nobody knows what a client makes of it`, async () => {
      await using proxy = await openProxy(() => ok(body, "Content-Encoding: gzip"));
      const answer = await proxy.get("/x", ["Cache-Scan: true"]);
      assert.deepEqual([answer.status, answer.body.toString()], [502, '{"detail":"The origin\'s answer cannot be decoded"}']);
      assert.equal(proxy.urls.entries.size, 0);
    });
  }

  test("of four layers is 502", async () => {
    await using proxy = await openProxy(() => ok(harmless, "Content-Encoding: gzip, gzip, gzip, gzip"));
    assert.equal((await proxy.get("/x")).status, 502);
  });

  for (const [coding, encode] of [
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
    ["zstd", zstdCompressSync],
  ] as const) {
    test(`that is a bomb of ${coding} is 413, and no more than the limit is unpacked (S18)`, async () => {
      const bomb = encode(Buffer.alloc(20 * maxBytes));
      await using proxy = await openProxy(() => ok(bomb, `Content-Encoding: ${coding}`));
      assert.equal((await proxy.get("/x")).status, 413);
      assert.equal(proxy.spool.usage().bodies, 0);
    });
  }
});

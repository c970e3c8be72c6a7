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
  "x-deflate": deflateSync,
  "deflate, none": deflateSync,
  "none, gzip,, ": gzipSync,
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

  for (const [coding, encode] of [
    ["bzip2", (bytes: Buffer) => bytes],
    ["compress", deflateSync],
    ["x-compress", gzipSync],
    ["gzip, foo", gzipSync],
    ["foo, gzip", gzipSync],
    ["gzip, foo, br", (bytes: Buffer) => brotliCompressSync(gzipSync(bytes))],
  ] as const) {
    test(`in ${coding} is unscannable: 409, unless the operator lets such a body pass, and never remembered`, async () => {
      const script = ({ path }: { path: string }) =>
        ok(path === "/v" ? virus : encode(harmless), `Content-Encoding: ${path === "/v" ? "foo" : coding}`);
      await using strict = await openProxy(script);
      const blocked = await strict.get("/x", ["Cache-Scan: true"]);
      assert.deepEqual([blocked.status, blocked.header("x-clamgate-signature")], [409, "Heuristics.Clamgate.Coding"]);
      assert.equal(strict.urls.entries.size, 0);
      await using lax = await openProxy(script, { allowed: ["unsupported"] });
      const passed = await lax.get("/x", ["Cache-Scan: true"]);
      assert.deepEqual([passed.status, passed.header("x-clamgate-allowed")], [200, "unsupported"]);
      assert.ok(passed.body.equals(encode(harmless)));
      assert.equal(lax.urls.entries.size, 0);
      assert.equal((await lax.get("/v")).header("x-clamgate-signature"), "Test.Mark");
      assert.equal(lax.spool.usage().bodies, 0);
    });
  }

  test("that is infected under a known coding over an unknown one is blocked for that, whatever may pass", async () => {
    await using lax = await openProxy(() => ok(gzipSync(virus), "Content-Encoding: foo, gzip"), { allowed: ["unsupported"] });
    assert.equal((await lax.get("/x")).header("x-clamgate-signature"), "Test.Mark");
  });

  test("that is empty is empty", async () => {
    for (const coding of ["gzip", "foo"]) {
      await using proxy = await openProxy(() => ok("", `Content-Encoding: ${coding}`));
      const answer = await proxy.get("/x");
      assert.deepEqual([answer.status, answer.header("content-length")], [200, "0"]);
    }
  });

  const broken = "its gzip coding is broken or unfinished";
  for (const [name, body, why] of [
    ["is not in its coding", harmless, broken],
    ["is cut short", gzipSync(harmless).subarray(0, -9), broken],
    [
      "has a wrong checksum",
      Buffer.concat([gzipSync(harmless).subarray(0, -8), Buffer.alloc(4), gzipSync(harmless).subarray(-4)]),
      broken,
    ],
    [
      "goes on behind zero bytes",
      Buffer.concat([gzipSync(harmless), Buffer.alloc(8), gzipSync(virus)]),
      "bytes are left over behind the end of its gzip coding",
    ],
  ] as const) {
    test(`that ${name} is 502: nobody knows what a client makes of it`, async () => {
      await using proxy = await openProxy(() => ok(body, "Content-Encoding: gzip"));
      const answer = await proxy.get("/x", ["Cache-Scan: true"]);
      assert.deepEqual([answer.status, answer.body.toString()], [502, `{"detail":"The body cannot be decoded: ${why}"}`]);
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
    test(`that is a bomb of ${coding} is unscannable, and no more than the limit is unpacked (S18)`, async () => {
      const bomb = encode(Buffer.alloc(20 * maxBytes));
      await using proxy = await openProxy(() => ok(bomb, `Content-Encoding: ${coding}`));
      const answer = await proxy.get("/x");
      assert.deepEqual([answer.status, answer.header("x-clamgate-signature")], [409, "Heuristics.Clamgate.LimitSize"]);
      assert.equal(proxy.spool.usage().bodies, 0);
    });

    test(`that is a bomb of ${coding} passes where the operator allows limit-size, and says so`, async () => {
      const bomb = encode(Buffer.alloc(20 * maxBytes));
      await using proxy = await openProxy(() => ok(bomb, `Content-Encoding: ${coding}`), { allowed: ["limit-size"] });
      const answer = await proxy.get("/x", ["Cache-Scan: true"]);
      assert.deepEqual([answer.status, answer.header("x-clamgate-allowed")], [200, "limit-size"]);
      assert.ok(answer.body.equals(bomb));
      assert.equal(proxy.urls.entries.size, 0);
    });
  }
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { readCodings } from "../../src/core/content-coding.ts";
import { unpackingTurns } from "../../src/core/queues/turns.ts";
import { scanLayers } from "../../src/core/scan-layers.ts";
import type { SpooledBody } from "../../src/core/spool.ts";
import type { UnscannableReason, Verdict } from "../../src/core/verdict.ts";
import { collect } from "../spool/scripted-body.ts";
import { chunks, clean, encrypted, infected, openScan, requestOptions, sha256 } from "./scan-stage.ts";

type Stage = Awaited<ReturnType<typeof openScan>>;

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield Buffer.from(bytes);
}

const allowing = (...reasons: UnscannableReason[]) => ({ policy: { allowedReasons: new Set(reasons) } });
const inner = Buffer.from("what is meant");
const middle = gzipSync(inner);
const outer = brotliCompressSync(middle);
const digest = (bytes: Buffer) => sha256(bytes as unknown as string);

/** Of the three layers of `outer`; what is not named is clean. */
function answer(stage: Stage, verdicts: { outer?: Verdict; middle?: Verdict; inner?: Verdict }): void {
  const of = new Map([
    [digest(outer), verdicts.outer],
    [digest(middle), verdicts.middle],
    [digest(inner), verdicts.inner],
  ]);
  stage.engine.answerAll((body) => of.get(body.sha256) ?? clean);
}

const scan = (stage: Stage, bytes: Buffer = outer, codings = "gzip, br") =>
  scanLayers(stage.scan, only(bytes), { ...requestOptions(), codings: readCodings([codings]) });

describe("scanLayers", () => {
  test("scans what came and each layer in it, and gives both ends", async () => {
    await using stage = await openScan();
    answer(stage, {});
    await using scanned = await scan(stage);
    assert.deepEqual(
      stage.engine.scans.map(({ body }) => body.sha256),
      [outer, middle, inner].map(digest),
    );
    assert.deepEqual([scanned.report.verdict, scanned.report.sha256, scanned.report.size], [clean, digest(outer), outer.length]);
    assert.ok((await collect(scanned.body.read())).equals(outer));
    assert.ok(scanned.decoded !== undefined && (await collect(scanned.decoded.read())).equals(inner));
    assert.equal(stage.spool.usage().bodies, 2);
    await scanned.decoded[Symbol.asyncDispose]();
    assert.equal(stage.spool.usage().bodies, 1);
  });

  test("scans a body without codings once, with the very options", async () => {
    await using stage = await openScan();
    answer(stage, {});
    await using scanned = await scanLayers(stage.scan, only(inner), { ...requestOptions(), codings: null });
    assert.deepEqual([scanned.decoded, stage.engine.scans.length], [undefined, 1]);
  });

  const relaxed = { isAllowed: true, relaxedFor: "encrypted" } as const;
  const blocked = { isAllowed: false, relaxedFor: null } as const;
  for (const [name, verdicts, verdict, decision, scans] of [
    ["infected as it came, looks no further", { outer: infected }, infected, blocked, 1],
    ["infected half decoded, looks no further", { middle: infected }, infected, blocked, 2],
    ["infected decoded", { inner: infected }, infected, blocked, 3],
    ["not to be looked into as it came, infected decoded", { outer: encrypted, inner: infected }, infected, blocked, 3],
    ["not to be looked into half decoded, clean else", { middle: encrypted }, encrypted, relaxed, 3],
  ] as const) {
    test(`of a body ${name}, says the worst, with the digest of what came`, async () => {
      await using stage = await openScan(allowing("encrypted"));
      answer(stage, verdicts);
      await using scanned = await scan(stage);
      assert.deepEqual([scanned.report.verdict, scanned.decision], [verdict, decision]);
      assert.deepEqual([scanned.report.sha256, stage.engine.scans.length], [digest(outer), scans]);
    });
  }

  test("remembers each layer by its own digest", async () => {
    await using stage = await openScan();
    answer(stage, {});
    await (await scan(stage))[Symbol.asyncDispose]();
    await using again = await scan(stage);
    assert.deepEqual([again.report.isCached, stage.engine.scans.length], [true, 3]);
    await (await scan(stage, gzipSync(middle), "gzip"))[Symbol.asyncDispose]();
    assert.equal(stage.engine.scans.length, 4, "of the other body only what came is new");
  });

  test("says of layers that different signatures judged what nobody remembers", async () => {
    await using stage = await openScan();
    answer(stage, {});
    const first = stage.engine.version();
    assert.ok(first !== null);
    let scans = 0;
    stage.engine.answerAll(() => {
      scans += 1;
      if (scans === 2) stage.engine.setVersion({ ...first, tag: "newer" });
      return clean;
    });
    await using scanned = await scan(stage);
    assert.notEqual(scanned.report.engine.tag, "newer");
    assert.notEqual(scanned.report.engine.tag, first.tag);
  });

  test("says of a further coding that is not known that nobody has looked into it", async () => {
    for (const [codings, scans] of [
      ["foo", 1],
      ["foo, br", 2],
      ["foo, gzip, br", 3],
    ] as const) {
      await using stage = await openScan();
      answer(stage, {});
      await using scanned = await scan(stage, outer, codings);
      assert.deepEqual(scanned.report.verdict, {
        kind: "unscannable",
        reason: "unsupported",
        heuristic: "Heuristics.Clamgate.Coding",
      });
      assert.deepEqual([scanned.decision, stage.engine.scans.length], [blocked, scans]);
    }
  });

  test("says more than the limit is limit-size, of the layer that it is in", async () => {
    for (const [reasons, decision] of [
      [[], blocked],
      [["limit-size"], { isAllowed: true, relaxedFor: "limit-size" }],
    ] as const) {
      await using stage = await openScan(allowing(...reasons));
      stage.engine.answerAll(() => clean);
      await using scanned = await scan(stage, gzipSync(Buffer.alloc(100_001)), "gzip");
      assert.deepEqual(scanned.report.verdict, { kind: "unscannable", reason: "limit-size", heuristic: null });
      assert.deepEqual([scanned.decision, scanned.decoded], [decision, undefined]);
      await using whole = await scan(stage, gzipSync(Buffer.alloc(100_000)), "gzip");
      assert.deepEqual([whole.report.verdict, whole.decoded?.size], [clean, 100_000]);
    }
  });

  test("bounds what few bytes become, whatever the limit of a body is", async () => {
    const mebibyte = 1024 * 1024;
    await using stage = await openScan({ maxBytes: 1024 * mebibyte });
    stage.engine.answerAll(() => clean);
    // The stage's spool is too small for what is allowed; the bound is seen by what is asked of it.
    const limits: (number | undefined)[] = [];
    const recording = (source: AsyncIterable<Uint8Array>, options: Parameters<typeof stage.scan>[1]) => {
      limits.push(options.maxBytes);
      return stage.scan(source, options);
    };
    const codings = readCodings(["gzip"]);
    await using small = await scanLayers(recording, only(middle), { ...requestOptions(), codings });
    const large = gzipSync(Buffer.alloc(600_000, "x"), { level: 0 });
    await using big = await scanLayers(recording, only(large), { ...requestOptions(), codings }).catch(() => small);
    assert.deepEqual(limits.slice(0, 2), [undefined, 128 * mebibyte]);
    assert.deepEqual(limits.slice(2), [undefined, 256 * large.length]);
    assert.equal(big.decision.isAllowed, true);
  });

  test("rejects what is broken, and leaves nothing behind", async () => {
    await using stage = await openScan();
    answer(stage, {});
    for (const [bytes, codings] of [
      [inner, "gzip"],
      [outer.subarray(0, -3), "gzip, br"],
      [brotliCompressSync(Buffer.concat([middle, Buffer.alloc(1)])), "gzip, br"],
      [brotliCompressSync(Buffer.alloc(0)), "gzip, br"],
    ] as const) {
      await assert.rejects(scan(stage, bytes, codings), { code: "undecodable" });
      assert.equal(stage.spool.usage().bodies, 0);
    }
  });

  test("blocks what may not pass as it came, also where it is broken", async () => {
    await using stage = await openScan();
    stage.engine.answerAll(() => encrypted);
    await using scanned = await scan(stage, inner, "gzip");
    assert.deepEqual([scanned.report.verdict, scanned.decoded], [encrypted, undefined]);
  });

  test("finds nothing in an empty body, whatever its codings are", async () => {
    for (const codings of ["gzip", "foo", "foo, gzip"]) {
      await using stage = await openScan();
      stage.engine.answerAll(() => clean);
      await using scanned = await scan(stage, Buffer.alloc(0), codings);
      assert.deepEqual(scanned.report.verdict, clean);
    }
  });

  test("leaves nothing behind when the client goes between two layers", async () => {
    await using stage = await openScan();
    const leaving = new AbortController();
    stage.engine.answerAll(() => {
      leaving.abort(new Error("gone"));
      return clean;
    });
    const options = { ...requestOptions({ signal: leaving.signal }), codings: readCodings(["gzip, br"]) };
    await assert.rejects(scanLayers(stage.scan, only(outer), options), /gone/);
  });

  test("has few bodies unpacked at a time, however many come", async () => {
    await using stage = await openScan();
    stage.engine.answerAll(() => clean);
    let unpacking = 0;
    let most = 0;
    async function* decode(body: SpooledBody) {
      unpacking += 1;
      most = Math.max(most, unpacking);
      await setImmediate();
      yield* body.read();
      unpacking -= 1;
    }
    const scans = Array.from({ length: 3 * unpackingTurns.maxAtOnce }, async (_, index) => {
      const codings = { decoders: [decode, decode], unknown: null };
      await using scanned = await scanLayers(stage.scan, chunks(`body ${index}`), { ...requestOptions(), codings });
      return scanned.report.verdict;
    });
    assert.deepEqual(new Set((await Promise.all(scans)).map(({ kind }) => kind)), new Set(["clean"]));
    assert.equal(most, unpackingTurns.maxAtOnce);
  });

  test("leaves the place of a body that cannot be unpacked to the next", async () => {
    await using stage = await openScan();
    stage.engine.answerAll(() => clean);
    const codings = readCodings(["gzip"]);
    for (let times = 0; times <= unpackingTurns.maxAtOnce; times += 1)
      await assert.rejects(scanLayers(stage.scan, chunks("no gzip"), { ...requestOptions(), codings }), { code: "undecodable" });
    await using scanned = await scanLayers(stage.scan, chunks("a", "b"), { ...requestOptions(), codings: null });
    assert.deepEqual(scanned.report.verdict, clean);
  });
});

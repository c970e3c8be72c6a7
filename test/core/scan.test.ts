import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { ClamgateError } from "../../src/core/errors.ts";
import type { GatewayEvent } from "../../src/core/events.ts";
import type { UnscannableReason } from "../../src/core/verdict.ts";
import { fakeVersion } from "../fake/backend.ts";
import { collect } from "../spool/scripted-body.ts";
import { chunks, clean, encrypted, infected, openScan, requestOptions, sha256 } from "./scan-stage.ts";

describe("createScan", () => {
  test("reports the verdict on the very bytes it gives back", async () => {
    await using stage = await openScan();
    for (const text of ["", "small", "large, ".repeat(50)]) {
      stage.engine.answerAll(() => clean);
      await using scanned = await stage.scan(chunks(...text.split(" ")), requestOptions());
      const bytes = text.replaceAll(" ", "");
      const { verdict, engine, isCached, size } = scanned.report;
      assert.deepEqual([verdict, engine, isCached, size], [clean, fakeVersion(), false, bytes.length]);
      assert.deepEqual([scanned.report.sha256, scanned.body.sha256], [sha256(bytes), sha256(bytes)]);
      assert.equal((await collect(scanned.body.read())).toString(), bytes);
      assert.deepEqual(scanned.decision, { isAllowed: true, relaxedFor: null });
    }
  });

  test("blocks what is infected or unscannable, but for the reasons that are allowed", async () => {
    await using strict = await openScan();
    await using lax = await openScan({ policy: { allowedReasons: new Set<UnscannableReason>(["encrypted"]) } });
    const decided = async (stage: typeof strict, verdict: typeof clean) => (await stage.judge(verdict.kind, verdict)).decision;
    assert.deepEqual(await decided(strict, infected), { isAllowed: false, relaxedFor: null });
    assert.deepEqual(await decided(strict, encrypted), { isAllowed: false, relaxedFor: null });
    assert.deepEqual(await decided(lax, infected), { isAllowed: false, relaxedFor: null });
    assert.deepEqual(await decided(lax, encrypted), { isAllowed: true, relaxedFor: "encrypted" });
  });

  test("tells one event of each request, with all that came of it", async () => {
    await using stage = await openScan();
    const posting = stage.post("a body", { via: "proxy", requestId: "r7", name: "x\n" });
    const scan = await stage.engine.scanBegun(1);
    stage.time.now = 1500;
    scan.finish(infected, { queueMs: 250, scanMs: 1000 });
    await posting;
    await assert.rejects(stage.post("a larger one", { maxBytes: 3 }), { code: "too-large" });
    assert.deepEqual(stage.events, [
      {
        kind: "scanned",
        via: "proxy",
        requestId: "r7",
        name: "x\n",
        sha256: sha256("a body"),
        size: 6,
        verdict: infected,
        isAllowed: false,
        source: "engine",
        backend: "fake",
        queueSeconds: 0.25,
        scanSeconds: 1,
        seconds: 1.5,
      },
      {
        kind: "scan-failed",
        via: "rest",
        requestId: "r1",
        name: "a.txt",
        code: "too-large",
        detail: "The body is larger than the limit (more than 3 bytes)",
        seconds: 0,
      },
    ] satisfies GatewayEvent[]);
  });

  test("takes bodies up to its limit or a lower one of the request's, and none above", async () => {
    await using stage = await openScan({ maxBytes: 10 });
    stage.engine.answerAll(() => clean);
    const limits: readonly (readonly [number, number | undefined, boolean])[] = [
      [9, undefined, true],
      [10, undefined, true],
      [11, undefined, false],
      [4, 5, true],
      [5, 5, true],
      [6, 5, false],
      [11, 20, false],
    ];
    for (const [size, maxBytes, isTaken] of limits) {
      const posting = stage.post("x".repeat(size), maxBytes === undefined ? {} : { maxBytes });
      if (isTaken) assert.equal((await posting).report.size, size);
      else await assert.rejects(posting, { code: "too-large" });
    }
  });

  test("passes on what the body throws and what the spool refuses", async () => {
    await using stage = await openScan();
    const fault = new ClamgateError("client-gone", "The client went away");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("a part");
      throw fault;
    }
    await assert.rejects(stage.scan(broken(), requestOptions()), (thrown) => thrown === fault);
    const full = new ClamgateError("spool-full", "No room to hold the body");
    const spool = { ...stage.spool, take: () => Promise.reject(full) };
    await using other = await openScan({ spool });
    await assert.rejects(other.scan(chunks("a"), requestOptions()), (thrown) => thrown === full);
    assert.deepEqual([stage.outcomes(), other.outcomes()], [["client-gone"], ["spool-full"]]);
    assert.deepEqual([stage.engine.scans.length, other.engine.scans.length], [0, 0]);
  });

  test("passes on each error of the engine and gives the bytes up", async () => {
    await using stage = await openScan();
    for (const code of ["engine-error", "engine-unavailable", "queue-full", "queue-timeout", "stopping"] as const) {
      const posting = assert.rejects(stage.post("the same"), { code });
      const scan = await stage.engine.scanBegun(stage.engine.scans.length + 1);
      scan.fail(new ClamgateError(code, "no"));
      await posting;
    }
    assert.equal((await stage.judge("the same", clean)).report.verdict.kind, "clean");
  });

  test("calls what is not an error of ours internal in its event", async () => {
    await using stage = await openScan();
    const posting = assert.rejects(stage.post("a"), TypeError);
    (await stage.engine.scanBegun(1)).fail(new TypeError("oops"));
    await posting;
    assert.deepEqual(stage.outcomes(), ["internal"]);
  });

  test("leaves no listener on a request's signal", async () => {
    await using stage = await openScan();
    stage.engine.answerAll(() => clean);
    const { signal } = new AbortController();
    for (let times = 0; times < 3; times += 1) await stage.post("a", { signal });
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  describe("with an engine that is down", () => {
    test("lets the engine decide how long it is worth waiting, and remembers under the version it then has", async () => {
      await using stage = await openScan();
      stage.engine.setVersion(null);
      const posting = stage.post("a");
      const scan = await stage.engine.scanBegun(1);
      assert.equal(stage.cache.peeks, 0);
      stage.engine.setVersion({ tag: "back" });
      scan.finish(clean);
      assert.equal((await posting).report.engine.tag, "back");
      assert.deepEqual([...stage.cache.entries.keys()], [`${sha256("a")}:back`]);
    });

    test("shares one wait among equal bodies", async () => {
      await using stage = await openScan();
      stage.engine.setVersion(null);
      const both = [stage.post("a"), stage.post("a")];
      const scan = await stage.engine.scanBegun(1);
      await turns();
      scan.fail(new ClamgateError("engine-unavailable", "no"));
      for (const posting of both) await assert.rejects(posting, { code: "engine-unavailable" });
      assert.equal(stage.engine.scans.length, 1);
    });
  });

  describe("do-not-retry", () => {
    for (const [code, reason] of [
      ["scan-timeout", "limit-time"],
      ["engine-killed", "poison"],
    ] as const) {
      test(`answers ${reason} at once after ${code}, for these bytes and these signatures, and not for ever`, async () => {
        await using stage = await openScan();
        const posting = assert.rejects(stage.post("bad"), { code });
        (await stage.engine.scanBegun(1)).fail(new ClamgateError(code, "no"));
        await posting;

        const { verdict, isCached } = (await stage.post("bad")).report;
        assert.deepEqual([verdict, isCached], [{ kind: "unscannable", reason, heuristic: null }, true]);
        assert.equal(stage.engine.scans.length, 1);
        assert.equal((await stage.judge("other", clean)).report.verdict.kind, "clean");
        stage.time.now = 10 * 60_000 - 1;
        assert.equal((await stage.post("bad")).report.verdict.kind, "unscannable");
        assert.deepEqual(stage.outcomes(), [code, "blocklist", "engine", "blocklist"]);

        stage.engine.setVersion({ tag: "newer" });
        assert.equal((await stage.judge("bad", infected)).report.verdict.kind, "infected");
        stage.engine.setVersion({});
        stage.time.now = 10 * 60_000;
        assert.equal((await stage.judge("bad", infected)).report.verdict.kind, "infected");
      });
    }

    test("also knows what was lost when no version was known", async () => {
      await using stage = await openScan();
      stage.engine.setVersion(null);
      const posting = assert.rejects(stage.post("bad"), { code: "engine-killed" });
      (await stage.engine.scanBegun(1)).fail(new ClamgateError("engine-killed", "no"));
      await posting;
      stage.engine.setVersion({});
      assert.deepEqual((await stage.post("bad")).report.verdict, { kind: "unscannable", reason: "poison", heuristic: null });
    });

    test("does not know what merely failed", async () => {
      await using stage = await openScan();
      const posting = assert.rejects(stage.post("a"), { code: "engine-error" });
      (await stage.engine.scanBegun(1)).fail(new ClamgateError("engine-error", "no"));
      await posting;
      assert.equal((await stage.judge("a", clean)).report.verdict.kind, "clean");
    });
  });

  describe("formats that the operator has listed", () => {
    test("are unsupported where the engine finds nothing, remembered or not, and infected where it finds something", async () => {
      let asked = 0;
      await using stage = await openScan({
        isUnsupported: async (body) => {
          asked += 1;
          return (await collect(body.read())).toString().startsWith("zstd");
        },
      });
      const unsupported = { kind: "unscannable", reason: "unsupported", heuristic: null };
      assert.deepEqual((await stage.judge("zstd 1", clean)).report.verdict, unsupported);
      assert.deepEqual((await stage.post("zstd 1")).report.verdict, unsupported);
      assert.deepEqual((await stage.judge("text", clean)).report.verdict, clean);
      assert.equal(asked, 3);
      assert.deepEqual((await stage.judge("zstd 2", infected)).report.verdict, infected);
      assert.deepEqual((await stage.judge("zstd 3", encrypted)).report.verdict, encrypted);
      assert.equal(asked, 3);
      // What the engine said is remembered, so that another list needs no other scan.
      assert.deepEqual(stage.cache.entries.get(`${sha256("zstd 1")}:${fakeVersion().tag}`), clean);
    });

    test("fail the scan where they cannot be told", async () => {
      const fault = new ClamgateError("internal", "no");
      await using stage = await openScan({ isUnsupported: () => Promise.reject(fault) });
      await assert.rejects(stage.judge("a", clean), (thrown) => thrown === fault);
      assert.deepEqual(stage.outcomes(), ["internal"]);
    });
  });
});

async function turns(): Promise<void> {
  for (let count = 0; count < 20; count += 1) await new Promise((resolve) => setImmediate(resolve));
}

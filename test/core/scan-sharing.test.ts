/** What is scanned once though it comes often: bodies in flight, and verdicts that are remembered. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClamgateError } from "../../src/core/errors.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import type { Lookup, VerdictCache, VerdictKey } from "../../src/core/verdict-cache.ts";
import { fakeVersion } from "../fake/backend.ts";
import { fakeCache } from "../fake/verdict-cache.ts";
import { eventually } from "../process/stage.ts";
import { clean, encrypted, infected, openScan, type ScanStage, sha256 } from "./scan-stage.ts";

describe("equal bodies in flight", () => {
  test("are scanned once, and each gets its report", async () => {
    await using stage = await openScan();
    const posts = Array.from({ length: 50 }, (_, index) => stage.post("the same", { requestId: `${index}` }));
    const scan = await stage.engine.scanBegun(1);
    await allWait(stage, 50);
    scan.finish(infected);
    for (const { report, decision } of await Promise.all(posts)) {
      assert.deepEqual([report.verdict, report.sha256, decision.isAllowed], [infected, sha256("the same"), false]);
    }
    assert.equal(stage.engine.scans.length, 1);
    const sources = stage.outcomes();
    assert.deepEqual(
      [sources.filter((source) => source === "engine").length, sources.filter((source) => source === "shared").length],
      [1, 49],
    );
  });

  test("share an error, too", async () => {
    await using stage = await openScan();
    const posts = [stage.post("the same"), stage.post("the same")];
    const scan = await stage.engine.scanBegun(1);
    await allWait(stage, 2);
    scan.fail(new ClamgateError("scan-timeout", "no"));
    for (const posting of posts) await assert.rejects(posting, { code: "scan-timeout" });
    assert.deepEqual(stage.outcomes(), ["scan-timeout", "scan-timeout"]);
  });

  test("wait in the turn of the client that came first, and in another's own where that one's line is too long", async () => {
    for (const code of ["queue-full", "queue-timeout"] as const) {
      await using stage = await openScan();
      const posts = ["many", "many", "few"].map((client) => stage.post("the same", { client }));
      const refused = posts.slice(0, 2).map((posting) => assert.rejects(posting, { code }));
      const first = await stage.engine.scanBegun(1);
      await allWait(stage, 3);
      assert.equal(stage.engine.scans.length, 1);
      first.fail(new ClamgateError(code, "no"));
      await Promise.all(refused);
      const second = await stage.engine.scanBegun(2);
      second.finish(infected);
      assert.deepEqual((await posts[2])?.report.verdict, infected);
      assert.deepEqual([first.client, second.client], ["many", "few"]);
      assert.deepEqual(stage.outcomes().toSorted(), ["engine", code, code]);
    }
  });

  test("are refused once for good where a client's own turn does not come either", async () => {
    await using stage = await openScan();
    const posts = ["many", "few"].map((client) => assert.rejects(stage.post("the same", { client }), { code: "queue-full" }));
    for (const number of [1, 2]) {
      const scan = await stage.engine.scanBegun(number);
      if (number === 1) await allWait(stage, 2);
      scan.fail(new ClamgateError("queue-full", "no"));
    }
    await Promise.all(posts);
    assert.equal(stage.engine.scans.length, 2);
  });

  test("are not confused with others", async () => {
    await using stage = await openScan();
    const posts = [stage.post("one"), stage.post("two")];
    const [first, second] = [await stage.engine.scanBegun(1), await stage.engine.scanBegun(2)];
    for (const scan of [first, second]) scan.finish(scan.body.sha256 === sha256("one") ? infected : clean);
    const reports = await Promise.all(posts);
    assert.deepEqual(
      reports.map(({ report }) => report.verdict.kind),
      ["infected", "clean"],
    );
  });

  test("do not fail when the one that began the scan goes", async () => {
    await using stage = await openScan();
    const leader = new AbortController();
    const first = stage.post("the same", { signal: leader.signal });
    const scan = await stage.engine.scanBegun(1);
    const others = [stage.post("the same"), stage.post("the same")];
    await allWait(stage, 3);
    leader.abort(new ClamgateError("client-gone", "gone"));
    await assert.rejects(first, { code: "client-gone" });
    assert.equal(scan.signal.aborted, false);
    assert.equal(stage.spool.usage().bodies, 3, "the scan itself holds what its sender gave up");
    scan.finish(infected);
    for (const { report } of await Promise.all(others)) assert.deepEqual(report.verdict, infected);
  });

  test("are called off when the last who waits goes, and the next one begins anew", async () => {
    await using stage = await openScan();
    const [one, other] = [new AbortController(), new AbortController()];
    const posts = [stage.post("the same", { signal: one.signal }), stage.post("the same", { signal: other.signal })];
    const scan = await stage.engine.scanBegun(1);
    await allWait(stage, 2);
    one.abort("one");
    await assert.rejects(posts[0] ?? Promise.resolve(), (thrown) => thrown === "one");
    assert.equal(scan.signal.aborted, false);
    other.abort("other");
    await assert.rejects(posts[1] ?? Promise.resolve(), (thrown) => thrown === "other");
    assert.equal(scan.signal.aborted, true);
    const again = stage.post("the same");
    const second = await stage.engine.scanBegun(2);
    scan.fail(scan.signal.reason);
    second.finish(clean);
    assert.deepEqual((await again).report.verdict, clean);
  });

  test("leave a verdict that nobody waited for any more, and it is remembered", async () => {
    await using stage = await openScan();
    const gone = new AbortController();
    const posting = stage.post("a", { signal: gone.signal });
    const scan = await stage.engine.scanBegun(1);
    gone.abort("gone");
    await assert.rejects(posting, (thrown) => thrown === "gone");
    scan.finish(infected);
    await eventually("it is remembered", () => stage.cache.entries.size === 1);
    assert.deepEqual((await stage.post("a")).report.verdict, infected);
    assert.equal(stage.engine.scans.length, 1);
  });

  test("are scanned anew under new signatures, though the old scan still runs", async () => {
    await using stage = await openScan();
    const old = stage.post("the same");
    const first = await stage.engine.scanBegun(1);
    stage.engine.setVersion({ tag: "new" });
    const next = stage.post("the same");
    const second = await stage.engine.scanBegun(2);
    first.finish(clean, { version: fakeVersion(), isCacheable: false });
    second.finish(infected);
    assert.deepEqual([(await old).report.verdict, (await next).report.verdict], [clean, infected]);
    assert.deepEqual([...stage.cache.entries.keys()], [`${sha256("the same")}:new`]);
  });
});

describe("remembered verdicts", () => {
  test("do not reach the engine again, and say so", async () => {
    await using stage = await openScan();
    for (const verdict of [clean, infected]) {
      await stage.judge(verdict.kind, verdict);
      const { report, decision } = await stage.post(verdict.kind);
      assert.deepEqual([report.verdict, report.isCached, report.engine], [verdict, true, fakeVersion()]);
      assert.equal(decision.isAllowed, verdict.kind === "clean");
    }
    assert.equal(stage.engine.scans.length, 2);
    assert.deepEqual(stage.outcomes(), ["engine", "cache", "engine", "cache"]);
    assert.deepEqual(stage.cache.ttls, [60, 60]);
  });

  test("are under the tag of the backend that made them, not of the newest one", async () => {
    await using stage = await openScan();
    stage.engine.setVersion({ tag: "newest" });
    const posting = stage.post("a");
    (await stage.engine.scanBegun(1)).finish(clean, { version: fakeVersion({ tag: "older" }) });
    assert.equal((await posting).report.engine.tag, "older");
    assert.deepEqual([...stage.cache.entries.keys()], [`${sha256("a")}:older`]);
    assert.deepEqual((await stage.judge("a", infected)).report.verdict, infected);
  });

  test("end with new signatures", async () => {
    await using stage = await openScan();
    await stage.judge("a", clean);
    stage.engine.setVersion({ tag: "new" });
    assert.deepEqual((await stage.judge("a", infected)).report.verdict, infected);
  });

  test("are only those that are certain: nothing unscannable, nothing from during a change, no error", async () => {
    await using stage = await openScan();
    await stage.judge("unscannable", encrypted);
    const posting = stage.post("changed");
    (await stage.engine.scanBegun(2)).finish(clean, { isCacheable: false });
    await posting;
    const failing = assert.rejects(stage.post("failed"));
    (await stage.engine.scanBegun(3)).fail(new ClamgateError("engine-error", "no"));
    await failing;
    assert.deepEqual(stage.cache.entries.size, 0);
    assert.deepEqual((await stage.judge("unscannable", infected)).report.verdict, infected);
    assert.deepEqual((await stage.judge("changed", infected)).report.verdict, infected);
  });
});

describe("a scan that other gateways may wait for", () => {
  const signatures = (text: string) => ({ sha256: sha256(text), tag: fakeVersion().tag });

  /** Answers each look so, and lists how the leases ended. */
  function fleetOf(found: Lookup<Verdict> | "leased") {
    const ends: boolean[] = [];
    const looks: VerdictKey[] = [];
    const cache: VerdictCache = {
      ...fakeCache(),
      async lookUp(key) {
        looks.push(key);
        return found === "leased" ? { kind: "unknown", lease: { end: (isKnown) => void ends.push(isKnown) } } : found;
      },
    };
    return { cache, ends, looks };
  }

  test("ends its lease with the verdict, however many requests it is for", async () => {
    const { cache, ends, looks } = fleetOf("leased");
    await using stage = await openScan({ cache });
    const posts = [stage.post("a"), stage.post("a"), stage.post("a")];
    const scan = await stage.engine.scanBegun(1);
    await allWait(stage, 3);
    assert.deepEqual(ends, []);
    scan.finish(infected);
    await Promise.all(posts);
    await eventually("it is ended", () => ends.length > 0);
    assert.deepEqual([ends, looks, stage.engine.scans.length], [[true], [signatures("a")], 1]);
  });

  test("lets the others go without a verdict that is remembered under their tag", async () => {
    const { cache, ends } = fleetOf("leased");
    await using stage = await openScan({ cache });
    await stage.judge("unscannable", encrypted);
    await eventually("the first is ended", () => ends.length === 1);
    const posts = [
      stage.post("uncertain"),
      stage.post("of another backend"),
      assert.rejects(stage.post("failed")),
      assert.rejects(stage.post("not remembered"), { code: "backend-lost" }),
    ];
    const scans = await Promise.all([2, 3, 4, 5].map((count) => stage.engine.scanBegun(count)));
    for (const scan of scans) {
      if (scan.body.sha256 === sha256("uncertain")) scan.finish(clean, { isCacheable: false });
      else if (scan.body.sha256 === sha256("failed")) scan.fail(new ClamgateError("queue-full", "no"));
      else if (scan.body.sha256 === sha256("of another backend")) scan.finish(clean, { version: fakeVersion({ tag: "older" }) });
      else scan.fail(new ClamgateError("backend-lost", "no"));
    }
    await Promise.all(posts);
    await eventually("all are ended", () => ends.length === 5);
    assert.deepEqual(new Set(ends), new Set([false]));
  });

  test("lets the others go when its last client does before it has begun", async () => {
    const gone = new AbortController();
    const ends: boolean[] = [];
    const asked = Promise.withResolvers<Lookup<Verdict>>();
    await using stage = await openScan({ cache: { ...fakeCache(), lookUp: () => asked.promise } });
    const posting = stage.post("a", { signal: gone.signal });
    await eventually("it is spooled", () => stage.spool.usage().bodies === 1);
    for (let turns = 0; turns < 50; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    gone.abort("gone");
    await assert.rejects(posting, (thrown) => thrown === "gone");
    asked.resolve({ kind: "unknown", lease: { end: (isKnown) => void ends.push(isKnown) } });
    await eventually("it is ended", () => ends.length === 1);
    assert.deepEqual([ends, stage.engine.scans.length], [[false], 0]);
  });

  test("is not done where another one's verdict came, which is told as shared", async () => {
    const { cache } = fleetOf({ kind: "known", value: infected, isAwaited: true });
    await using stage = await openScan({ cache });
    const { report } = await stage.post("a");
    assert.deepEqual([report.verdict, report.isCached, stage.outcomes()], [infected, true, ["shared"]]);
    assert.equal(stage.engine.scans.length, 0);
  });

  test("nobody is asked about while no engine is up", async () => {
    const { cache, looks } = fleetOf("leased");
    await using stage = await openScan({ cache });
    stage.engine.setVersion(null);
    await stage.judge("a", clean);
    assert.deepEqual(looks, []);
  });
});

test("what this gateway knows is asked of nobody", async () => {
  const cache = { ...fakeCache(), peek: () => infected, lookUp: () => Promise.reject(new Error("asked")) };
  await using stage = await openScan({ cache });
  const { report } = await stage.post("a");
  assert.deepEqual([report.verdict, report.isCached, stage.outcomes()], [infected, true, ["cache"]]);
});

/** Until so many requests have been spooled and asked the cache, and have had the time to join a scan. */
async function allWait(stage: ScanStage, count: number): Promise<void> {
  await eventually("all are spooled", () => stage.spool.usage().bodies >= count);
  for (let turns = 0; turns < 50; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import type { EngineScan } from "../../../src/core/engine.ts";
import { fakeVersion } from "../../fake/backend.ts";
import { fakeBody } from "../../fake/spooled-body.ts";
import { digestsOf, finishInTurn, never, stage, turn } from "./pool-stage.ts";

describe("createPool", () => {
  test("gives free slots to those who wait in the order they came", async () => {
    const { pool, scan, add } = stage();
    const backend = add();
    const scans = ["a", "b", "c", "d"].map((digest) => scan(digest));
    await turn();
    assert.equal(pool.status().queued, 3);
    for (const digest of ["a", "b", "c", "d"]) {
      assert.equal(backend.scans.at(-1)?.body.sha256, digest);
      backend.finishNext();
      await turn();
    }
    await Promise.all(scans);
    assert.equal(pool.status().queued, 0);
  });

  test("chooses the backend with the smallest share of its slots taken, and never takes more", async () => {
    const { scan, add } = stage();
    const small = add({ name: "small", slots: 2 });
    const large = add({ name: "large", slots: 6 });
    const loads: string[] = [];
    const scans: Promise<EngineScan>[] = [];
    for (let index = 0; index < 10; index += 1) {
      scans.push(scan(`${index}`));
      loads.push(`${small.inFlight()}+${large.inFlight()}`);
    }
    assert.deepEqual(loads, ["1+0", "1+1", "1+2", "1+3", "2+3", "2+4", "2+5", "2+6", "2+6", "2+6"]);
    // The fakes throw when they are given more than their slots.
    for (let left = 10; left > 0; left -= 1) {
      (small.inFlight() > 0 ? small : large).finishNext();
      await turn();
    }
    assert.equal((await Promise.all(scans)).length, 10);
  });

  test("gives a small body the spare slot, and nobody a turn before a large one that has come first", async () => {
    const { pool, add } = stage();
    const backend = add({ slots: 1, spareBytes: 10 });
    const scan = (sha256: string, size: number) => pool.scan(fakeBody({ sha256, size }), never, "a client");
    const scans = [scan("large", 11), scan("small", 10)];
    assert.equal(backend.inFlight(), 2);
    scans.push(scan("next large", 11), scan("next small", 10));
    backend.finishNext();
    await turn();
    assert.deepEqual([backend.inFlight(), pool.status().queued], [1, 2]);
    backend.finishNext();
    await turn();
    assert.deepEqual(digestsOf(backend), ["large", "small", "next large", "next small"]);
    for (let left = 2; left > 0; left -= 1) backend.finishNext();
    await Promise.all(scans);
  });

  test("lets as many wait as its queue holds, and refuses the next one", async () => {
    for (const queueMax of [0, 1, 3]) {
      const { pool, scan, add } = stage({ queueMax });
      const backend = add();
      const first = scan("running");
      const waiting = Array.from({ length: queueMax }, (_, index) => scan(`${index}`));
      await assert.rejects(scan("one too many"), { code: "queue-full" });
      assert.equal(pool.status().queued, queueMax);
      await finishInTurn(backend, queueMax + 1);
      await Promise.all([first, ...waiting]);
    }
  });

  test("refuses who has waited too long, and gives the slot to the next", async () => {
    const { scan, add } = stage({ queueTimeoutMs: 30 });
    const backend = add();
    const first = scan("first");
    await assert.rejects(scan("second"), { code: "queue-timeout" });
    const third = scan("third");
    backend.finishNext();
    await first;
    backend.finishNext();
    await third;
    assert.deepEqual(digestsOf(backend), ["first", "third"]);
  });

  test("scans at once or not at all where nobody may wait", async () => {
    const { scan, add } = stage({ queueTimeoutMs: 0 });
    const backend = add();
    const first = scan("first");
    await assert.rejects(scan("second"), { code: "queue-timeout" });
    backend.finishNext();
    assert.deepEqual((await first).verdict, { kind: "clean" });
  });

  test("takes who has gone out of the queue, and leaves nothing on any signal", async () => {
    const { pool, scan, add } = stage();
    const backend = add();
    const [gone, stays] = [new AbortController(), new AbortController()];
    const first = scan("first", stays.signal);
    const second = scan("second", gone.signal);
    const third = scan("third", stays.signal);
    gone.abort("the client went");
    await assert.rejects(second, (thrown) => thrown === "the client went");
    assert.equal(pool.status().queued, 1);
    backend.finishNext();
    await first;
    backend.finishNext();
    await third;
    assert.deepEqual(digestsOf(backend), ["first", "third"]);
    for (const { signal } of [gone, stays]) assert.equal(getEventListeners(signal, "abort").length, 0);
    await assert.rejects(scan("late", gone.signal), (thrown) => thrown === "the client went");
  });

  test("does not take a scan back that has begun", async () => {
    const { scan, add } = stage();
    const backend = add();
    const gone = new AbortController();
    const running = scan("a", gone.signal);
    gone.abort();
    backend.finishNext();
    assert.deepEqual((await running).verdict, { kind: "clean" });
  });

  test("lets requests wait that come before the first backend is up, while the start goes on", async () => {
    const time = { now: 0 };
    const { pool, scan, add } = stage({ queueTimeoutMs: 60_000, clock: () => time.now });
    const backend = add({ isUp: false });
    const first = scan("a");
    time.now = 200_000;
    const late = scan("b");
    assert.equal(pool.status().queued, 2);
    backend.setUp(true);
    backend.finishNext();
    await first;
    backend.finishNext();
    await late;
    // Afterwards it is down like any other.
    backend.setUp(false);
    pool.endStart();
    const waiting = scan("c");
    await turn();
    backend.setUp(true);
    backend.finishNext();
    await waiting;
  });

  test("is unavailable to who waited in vain for the first backend", async () => {
    const { scan } = stage({ queueTimeoutMs: 30 });
    await assert.rejects(scan("a"), { code: "engine-unavailable" });
  });

  test("is unavailable at once where no backend was ever up and the start is over", async () => {
    const { pool, scan, add } = stage();
    pool.endStart();
    assert.equal(pool.version(), null);
    await assert.rejects(scan("a"), { code: "engine-unavailable" });
    add({ isUp: false });
    await assert.rejects(scan("a"), { code: "engine-unavailable" });
  });

  test("waits for a backend that went down for as long as its queue waits, then is unavailable at once", async () => {
    const time = { now: 0 };
    const { pool, scan, add } = stage({ queueTimeoutMs: 60_000, clock: () => time.now });
    const backend = add();
    backend.setUp(false);
    time.now = 60_000;
    const waiting = scan("a");
    await turn();
    assert.equal(pool.status().queued, 1);
    time.now = 60_001;
    await assert.rejects(scan("b"), { code: "engine-unavailable" });
    backend.setUp(true);
    backend.finishNext();
    assert.deepEqual((await waiting).verdict, { kind: "clean" });
    backend.setUp(false);
    const again = scan("c");
    backend.setUp(true);
    backend.finishNext();
    await again;
  });

  test("is unavailable to who waited in vain for a backend to come back", async () => {
    const { scan, add } = stage({ queueTimeoutMs: 30 });
    add().setUp(false);
    await assert.rejects(scan("a"), { code: "engine-unavailable" });
  });

  test("tells the newest version among the backends that are up", () => {
    const { pool, add } = stage();
    const old = add({ version: { database: 5, tag: "5" } });
    assert.equal(pool.version()?.tag, "5");
    const newer = add({ version: { database: 7, tag: "7" } });
    add({ version: { database: 6, tag: "6" } });
    assert.equal(pool.version()?.tag, "7");
    newer.setUp(false);
    assert.equal(pool.version()?.tag, "6");
    pool.remove(old);
    assert.equal(pool.version()?.tag, "6");
  });

  test("lets clients that wait take turns, those of one in the order they came", async () => {
    const { scan, add } = stage();
    const backend = add();
    const asked = ["many 1", "many 2", "many 3", "few 1", "many 4", "few 2", "one 1"];
    const scans = asked.map((digest) => scan(digest, never, digest.split(" ")[0]));
    await finishInTurn(backend, asked.length);
    await Promise.all(scans);
    assert.deepEqual(digestsOf(backend), ["many 1", "many 2", "few 1", "one 1", "many 3", "few 2", "many 4"]);
  });

  test("makes room in a full queue for a client with fewer waiting, at the cost of the one with the most", async () => {
    const { pool, scan, add } = stage({ queueMax: 4 });
    const backend = add();
    const scans = ["running", "1", "2"].map((digest) => scan(digest, never, "many"));
    const crowdedOut = ["3", "4"].map((digest) => assert.rejects(scan(digest, never, "many"), { code: "queue-full" }));
    await assert.rejects(scan("5", never, "many"), { code: "queue-full" });
    scans.push(scan("other", never, "other"), scan("another", never, "another"));
    await Promise.all(crowdedOut);
    assert.equal(pool.status().queued, 4);
    // Two, one and one: who has two would have two again.
    await assert.rejects(scan("other 2", never, "other"), { code: "queue-full" });
    await finishInTurn(backend, 5);
    await Promise.all(scans);
    assert.deepEqual(digestsOf(backend), ["running", "1", "other", "another", "2"]);
  });

  test("lets no more of one client wait than may, and others still", async () => {
    const { scan, add } = stage({ queueMax: 4, queueMaxPerClient: 1 });
    const backend = add();
    const scans = [scan("running", never, "a"), scan("a", never, "a")];
    await assert.rejects(scan("a 2", never, "a"), { code: "queue-full" });
    scans.push(scan("b", never, "b"));
    await finishInTurn(backend, 3);
    await Promise.all(scans);
  });

  test("passes on why a body could not be read", async () => {
    const { scan, add } = stage();
    const backend = add();
    const error = new Error("the disk is gone");
    const running = scan("a");
    backend.finishNext({ kind: "unreadable", error });
    await assert.rejects(running, (thrown) => thrown === error);
    assert.equal(backend.isUp(), true);
  });

  test("lets the scans of a removed backend finish and gives it no more", async () => {
    const { pool, scan, add } = stage();
    const [leaving, staying] = [add({ name: "leaving", slots: 4 }), add({ name: "staying" })];
    const running = scan("a");
    pool.remove(leaving);
    assert.equal(leaving.isRetired, true);
    const next = scan("b");
    assert.deepEqual(digestsOf(staying), ["b"]);
    leaving.finishNext();
    staying.finishNext();
    assert.deepEqual([(await running).backend, (await next).backend], ["leaving", "staying"]);
    assert.equal(leaving.isClosed, false);
  });

  test("refuses all with stopping once it is closed: who waits, who is being scanned, who comes, and on removed backends", async () => {
    const { pool, scan, add } = stage();
    const [removed, backend] = [add({ slots: 4 }), add()];
    const scans = [scan("on the removed one")];
    pool.remove(removed);
    scans.push(scan("running"), scan("waiting"));
    const refused = scans.map((running) => assert.rejects(running, { code: "stopping" }));
    pool.close();
    await Promise.all(refused);
    await assert.rejects(scan("late"), { code: "stopping" });
    assert.deepEqual([removed.isClosed, backend.isClosed], [true, true]);
    assert.deepEqual(pool.status(), { backends: [], queued: 0 });
  });

  test("takes no clean of a backend while one with newer signatures is up, but what it has found", async () => {
    const { pool, scan, add } = stage();
    const older = add({ name: "older", slots: 2, version: { database: 1 } });
    const scans = [scan("begun before"), scan("found by the older one")];
    const newer = add({ name: "newer", slots: 2, version: { database: 2 } });
    const verdict = { kind: "infected", signatures: ["Known"] } as const;
    older.finishNext();
    older.finishNext({ kind: "verdict", verdict, version: fakeVersion(), isCacheable: true });
    await turn();
    assert.deepEqual([older.scans.length, newer.scans.length], [2, 1]);
    assert.deepEqual(
      pool.status().backends.map(({ isBehind }) => isBehind),
      [true, false],
    );
    scans.push(scan("begun after"));
    newer.finishNext();
    newer.finishNext();
    assert.deepEqual(
      (await Promise.all(scans)).map(({ backend }) => backend),
      ["newer", "older", "newer"],
    );
    newer.setUp(false);
    const alone = scan("the newer one is down");
    older.finishNext();
    assert.equal((await alone).backend, "older");
  });

  test("tells how each backend is and how many wait", async () => {
    const { pool, scan, add } = stage();
    const backend = add({ name: "one" });
    add({ name: "two", isUp: false });
    const scans = [scan("a"), scan("b")];
    const alike = { isBusy: false, isBehind: false, lacking: [], slots: 1, overdue: 0 };
    assert.deepEqual(pool.status(), {
      backends: [
        { name: "one", isUp: true, ...alike, tag: "a".repeat(16), inFlight: 1 },
        { name: "two", isUp: false, ...alike, tag: null, inFlight: 0 },
      ],
      queued: 1,
    });
    backend.finishNext();
    await turn();
    backend.finishNext();
    await Promise.all(scans);
  });
});

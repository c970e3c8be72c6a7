import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import type { BackendOutcome } from "../../../src/clamd/backend.ts";
import { createPool, type PoolOptions } from "../../../src/clamd/pool.ts";
import type { EngineScan } from "../../../src/core/engine.ts";
import { type FakeBackend, type FakeBackendOptions, fakeBackend, fakeVersion } from "../../fake/backend.ts";
import { fakeBody } from "../../fake/spooled-body.ts";

const lost: BackendOutcome = { kind: "lost", reason: "closed without a reply" };
const failed: BackendOutcome = { kind: "failed", reason: "no memory" };
const unreached: BackendOutcome = { kind: "unreached", reason: "refused" };

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
      for (let left = queueMax + 1; left > 0; left -= 1) {
        backend.finishNext();
        await turn();
      }
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

  for (const [name, outcome] of Object.entries({ lost, failed })) {
    test(`scans once more on another backend what was ${name}`, async () => {
      const { scan, add } = stage();
      const [one, other] = [add({ name: "one", slots: 9 }), add({ name: "other" })];
      const running = scan("a");
      one.finishNext(outcome);
      await turn();
      assert.equal(other.scans.length, 1);
      other.finishNext();
      assert.equal((await running).backend, "other");
    });
  }

  test("takes the same backend again only where there is no other, once it is back", async () => {
    const { scan, add } = stage();
    const backend = add();
    const running = scan("a");
    backend.finishNext(lost);
    await turn();
    assert.equal(backend.scans.length, 1);
    backend.setUp(true);
    await turn();
    backend.finishNext();
    assert.deepEqual((await running).verdict, { kind: "clean" });
    assert.equal(backend.scans.length, 2);
  });

  const ends = {
    "engine-error": [failed, failed],
    "engine-error, not yet backend-lost": [failed, lost],
    "engine-error after a loss": [lost, failed],
    "scan-timeout": [{ kind: "timeout", isEngineWell: true }],
    "scan-timeout on the second try": [lost, { kind: "timeout", isEngineWell: true }],
    "backend-lost": [{ kind: "timeout", isEngineWell: false }],
  } satisfies Record<string, readonly BackendOutcome[]>;
  for (const [name, outcomes] of Object.entries(ends)) {
    test(`ends with ${name} after: ${outcomes.map(({ kind }) => kind).join(", ")}`, async () => {
      const { scan, add } = stage();
      const backends = [add(), add(), add()];
      const running = assert.rejects(scan("a"), { name: "ClamgateError", code: name.split(/[, ]/)[0] });
      for (const outcome of outcomes) {
        backends.find((backend) => backend.inFlight() > 0)?.finishNext(outcome);
        await turn();
      }
      await running;
      assert.equal(
        backends.reduce((sum, { scans }) => sum + scans.length, 0),
        outcomes.length,
      );
    });
  }

  test("counts no try where nothing was reached", async () => {
    const { scan, add } = stage();
    const backend = add();
    const running = scan("a");
    for (const outcome of [unreached, unreached, lost, unreached, unreached]) {
      backend.finishNext(outcome);
      await turn();
      backend.setUp(true);
      await turn();
    }
    backend.finishNext();
    assert.deepEqual((await running).verdict, { kind: "clean" });
  });

  test("scans alone what has lost two backends, also in a later request, and others before and after it", async () => {
    const { scan, add } = stage({ queueTimeoutMs: 50 });
    const backend = add({ slots: 2 });
    for (let loss = 0; loss < 2; loss += 1) {
      backend.setUp(true);
      const running = assert.rejects(scan("suspect"), { code: "engine-unavailable" });
      backend.finishNext(lost);
      await running;
    }
    backend.setUp(true);
    const before = scan("before");
    const suspect = scan("suspect");
    const after = scan("after");
    await turns();
    assert.deepEqual(digestsOf(backend).slice(2), ["before"]);
    backend.finishNext();
    await turns();
    assert.deepEqual(digestsOf(backend).slice(2), ["before", "suspect"]);
    backend.finishNext();
    await turns();
    assert.deepEqual(digestsOf(backend).slice(2), ["before", "suspect", "after"]);
    backend.finishNext();
    await Promise.all([before, suspect, after]);
    // It was scanned: one more loss is the first again.
    const again = scan("suspect");
    const beside = scan("beside");
    await turns();
    assert.equal(backend.inFlight(), 2);
    for (const scanning of [again, beside]) {
      backend.finishNext();
      await scanning;
    }
  });

  test("takes two losses of one backend, that was alone with the body and had proved itself, for the body's doing", async () => {
    const { scan, add } = stage({ queueTimeoutMs: 60_000 });
    const backend = add();
    const running = assert.rejects(scan("poison"), { code: "engine-killed" });
    for (let loss = 0; loss < 4; loss += 1) {
      await eventuallyScanned(backend, loss + 1);
      backend.finishNext(lost);
      await turns();
      backend.setUp(true);
    }
    await running;
    assert.equal(backend.scans.length, 4);
  });

  test("blames no body for losses while backends are lost without it, too", async () => {
    const { scan, add } = stage({ queueTimeoutMs: 60_000 });
    const [one, other] = [add({ name: "one" }), add({ name: "other" })];
    const running = assert.rejects(scan("innocent"), { code: "backend-lost" });
    for (let loss = 0; loss < 5; loss += 1) {
      await eventuallyScanned([one, other], loss + 1);
      const [holds, idle] = one.inFlight() > 0 ? [one, other] : [other, one];
      holds.finishNext(lost);
      await turns();
      idle.setUp(false);
      idle.setUp(true);
      holds.setUp(true);
    }
    await running;
  });

  test("leaves nothing of who waited to be alone and has gone", async () => {
    const { pool, scan, add } = stage();
    const backend = add();
    const gone = new AbortController();
    const first = scan("a", gone.signal);
    for (let loss = 0; loss < 2; loss += 1) {
      await eventuallyScanned(backend, 1 + loss);
      backend.finishNext(lost);
      await turns();
      if (loss === 0) backend.setUp(true);
    }
    assert.equal(pool.status().queued, 1);
    gone.abort("gone");
    await assert.rejects(first, (thrown) => thrown === "gone");
    assert.equal(getEventListeners(gone.signal, "abort").length, 0);
    assert.equal(pool.status().queued, 0);
    backend.setUp(true);
    const next = scan("next");
    backend.finishNext();
    assert.deepEqual((await next).verdict, { kind: "clean" });
  });

  test("gives a second try its place before all who wait, and in a queue that is full", async () => {
    const { scan, add } = stage({ queueMax: 1 });
    const backend = add();
    const first = scan("first");
    const second = scan("second");
    backend.finishNext(lost);
    await turn();
    backend.setUp(true);
    await turn();
    assert.deepEqual(digestsOf(backend), ["first", "first"]);
    backend.finishNext();
    await first;
    backend.finishNext();
    await second;
  });

  test("lets clients that wait take turns, those of one in the order they came", async () => {
    const { scan, add } = stage();
    const backend = add();
    const asked = ["many 1", "many 2", "many 3", "few 1", "many 4", "few 2", "one 1"];
    const scans = asked.map((digest) => scan(digest, never, digest.split(" ")[0]));
    for (let left = asked.length; left > 0; left -= 1) {
      backend.finishNext();
      await turn();
    }
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
    for (let left = 5; left > 0; left -= 1) {
      backend.finishNext();
      await turn();
    }
    await Promise.all(scans);
    assert.deepEqual(digestsOf(backend), ["running", "1", "other", "another", "2"]);
  });

  test("lets no more of one client wait than may, and others still", async () => {
    const { scan, add } = stage({ queueMax: 4, queueMaxPerClient: 1 });
    const backend = add();
    const scans = [scan("running", never, "a"), scan("a", never, "a")];
    await assert.rejects(scan("a 2", never, "a"), { code: "queue-full" });
    scans.push(scan("b", never, "b"));
    for (let left = 3; left > 0; left -= 1) {
      backend.finishNext();
      await turn();
    }
    await Promise.all(scans);
  });

  test("does not count the time of the first scan as waiting", async () => {
    const time = { now: 0 };
    const { scan, add } = stage({ queueTimeoutMs: 1000, clock: () => time.now });
    const [one, other] = [add({ slots: 2 }), add()];
    const running = scan("a");
    time.now = 50_000;
    one.finishNext(lost);
    await turn();
    time.now = 50_250;
    other.finishNext();
    const { queueMs, scanMs } = await running;
    assert.deepEqual([queueMs, scanMs], [0, 250]);
  });

  test("gives a free backend to others while one waits for another than that", async () => {
    const { scan, add } = stage();
    const [one, other] = [add({ name: "one" }), add({ name: "other" })];
    const picky = scan("picky");
    const occupying = scan("occupying");
    one.finishNext(failed);
    await turn();
    assert.deepEqual(digestsOf(one), ["picky"]);
    const third = scan("third");
    assert.deepEqual(digestsOf(one), ["picky", "third"]);
    other.finishNext();
    await turn();
    assert.deepEqual(digestsOf(other), ["occupying", "picky"]);
    other.finishNext();
    one.finishNext();
    await Promise.all([picky, occupying, third]);
  });

  test("does not scan a second time what nobody waits for any more", async () => {
    const { scan, add } = stage();
    const [one, other] = [add({ slots: 2 }), add()];
    const gone = new AbortController();
    const running = scan("a", gone.signal);
    gone.abort("gone");
    one.finishNext(lost);
    await assert.rejects(running, (thrown) => thrown === "gone");
    assert.equal(other.scans.length, 0);
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

  test("takes a scan that it has cut for nobody's fault, also in its second try", async () => {
    const { pool, scan, add } = stage();
    const [one, other] = [add(), add()];
    const running = assert.rejects(scan("a"), { code: "stopping" });
    one.finishNext(failed);
    await turn();
    assert.equal(other.inFlight(), 1);
    pool.close();
    await running;
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

const never = new AbortController().signal;

function stage(options: Partial<PoolOptions> = {}) {
  const pool = createPool({
    queueMax: 100,
    queueMaxPerClient: 100,
    queueTimeoutMs: 5_000,
    clock: () => performance.now(),
    ...options,
  });
  return {
    pool,
    scan: (sha256: string, signal = never, client = "a client") => pool.scan(fakeBody({ size: 1, sha256 }), signal, client),
    add(backend: Omit<FakeBackendOptions, "onChange"> = {}): FakeBackend {
      const made = fakeBackend({ ...backend, onChange: () => pool.dispatch() });
      pool.add(made);
      return made;
    },
  };
}

/** Resolves when so many scans have been given in all. */
async function eventuallyScanned(backends: FakeBackend | readonly FakeBackend[], count: number): Promise<void> {
  const all = [backends].flat();
  while (all.reduce((sum, { scans }) => sum + scans.length, 0) < count) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function turns(): Promise<void> {
  for (let count = 0; count < 5; count += 1) await turn();
}

function digestsOf(backend: FakeBackend): string[] {
  return backend.scans.map(({ body }) => body.sha256);
}

/** Lets everything happen that waits for nothing but its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

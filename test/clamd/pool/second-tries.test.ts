/** What a pool does with a body whose backend was lost, or could not scan it. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import type { BackendOutcome } from "../../../src/clamd/backend.ts";
import type { FakeBackend } from "../../fake/backend.ts";
import { digestsOf, failed, lost, stage, turn } from "./pool-stage.ts";

const unreached: BackendOutcome = { kind: "unreached", reason: "refused" };

describe("a pool's second tries", () => {
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
});

/** Resolves when so many scans have been given in all. */
async function eventuallyScanned(backends: FakeBackend | readonly FakeBackend[], count: number): Promise<void> {
  const all = [backends].flat();
  while (all.reduce((sum, { scans }) => sum + scans.length, 0) < count) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function turns(): Promise<void> {
  for (let count = 0; count < 5; count += 1) await turn();
}

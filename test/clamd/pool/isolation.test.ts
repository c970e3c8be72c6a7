import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createIsolation } from "../../../src/clamd/isolation.ts";
import { type FakeBackend, fakeBackend } from "../../fake/backend.ts";
import { fakeBody } from "../../fake/spooled-body.ts";

describe("createIsolation", () => {
  test("suspects a body after two losses, until it was scanned after all", () => {
    const { isolation } = stage();
    isolation.lostAmongOthers("a", 0);
    isolation.lostAmongOthers("b", 0);
    assert.deepEqual([isolation.isSuspect("a"), isolation.isSuspect("b")], [false, false]);
    isolation.lostAmongOthers("a", 0);
    assert.deepEqual([isolation.isSuspect("a"), isolation.isSuspect("b")], [true, false]);
    isolation.clear("a");
    isolation.lostAmongOthers("a", 0);
    assert.equal(isolation.isSuspect("a"), false);
  });

  test("forgets a loss after its time, each one anew", () => {
    const { isolation, time } = stage();
    isolation.lostAmongOthers("a", 0);
    time.now = 999;
    isolation.lostAmongOthers("a", 0);
    time.now = 1998;
    assert.equal(isolation.isSuspect("a"), true);
    time.now = 1999;
    assert.equal(isolation.isSuspect("a"), false);
  });

  test("keeps the newest where there are too many", () => {
    const { isolation } = stage({ maxEntries: 2 });
    for (const digest of ["a", "b", "c", "b", "c", "a"]) isolation.lostAmongOthers(digest, 0);
    assert.deepEqual(
      ["a", "b", "c"].map((digest) => isolation.isSuspect(digest)),
      [false, false, true],
    );
  });

  test("keeps one backend at a time, and takes it when it is idle", async () => {
    const { isolation, add } = stage();
    const [one, other] = [add("one"), add("other")];
    void one.scan(body);
    void other.scan(body);
    assert.equal(isolation.take("a"), null);
    const kept = [one, other].find((backend) => isolation.isKept(backend));
    assert.ok(kept !== undefined);
    kept.finishNext();
    assert.equal(isolation.take("a"), kept);
    assert.equal(isolation.take("b"), null, "one body at a time");
    isolation.begin();
    isolation.end("a", false);
    assert.equal(isolation.isKept(kept), false);
  });

  test("rests between two bodies as long as one has kept a backend, four times as long as one has lived that died", () => {
    const { isolation, add, time } = stage();
    add("one");
    for (const [isLost, restMs] of [
      [false, 100],
      [true, 400],
    ] as const) {
      assert.notEqual(isolation.take("a"), null);
      isolation.begin();
      time.now += 100;
      isolation.end("a", isLost);
      assert.equal(isolation.restMs(), restMs);
      time.now += restMs - 1;
      assert.equal(isolation.take("b"), null);
      time.now += 1;
    }
    assert.notEqual(isolation.take("b"), null);
  });

  test("tells what is still to be waited for, although that is over while it is asked", () => {
    const { isolation, add, time } = stage();
    add("one");
    isolation.take("a");
    isolation.begin();
    time.now += 100;
    isolation.end("a", true);
    time.now += 399;
    assert.equal(isolation.take("b"), null);
    time.now += 1;
    assert.equal(isolation.restMs(), 1);
    assert.notEqual(isolation.take("b"), null);
  });

  test("waits, after a loss, until the backend has been up for that long, and prefers it to others", () => {
    const { isolation, add, time } = stage();
    const [one, other] = [add("one"), add("other")];
    isolation.take("a");
    isolation.begin();
    time.now += 10;
    lose(one);
    isolation.end("a", true);
    time.now += 300;
    assert.equal(isolation.take("a"), null, "it may be back soon");
    one.setUp(true);
    time.now += 39;
    assert.equal(isolation.take("a"), null);
    time.now += 1;
    assert.equal(isolation.take("a"), one);
    isolation.begin();
    lose(one);
    isolation.end("a", true);
    time.now += 399;
    assert.equal(isolation.take("a"), null);
    time.now += 1;
    assert.equal(isolation.take("a"), other, "it is not back");
  });

  test("tells a body that two losses of one backend speak against, and none where another was lost between", () => {
    for (const isLostBetween of [false, true]) {
      const { isolation, add, time } = stage();
      const [one, other] = [add("one"), add("other")];
      const results: boolean[] = [];
      for (let loss = 0; loss < 2; loss += 1) {
        assert.equal(isolation.take("a"), one);
        isolation.begin();
        time.now += 10;
        lose(one);
        results.push(isolation.end("a", true));
        if (isLostBetween) lose(other);
        time.now += 1;
        one.setUp(true);
        other.setUp(true);
        time.now += 900;
      }
      assert.deepEqual(results, [false, !isLostBetween]);
    }
  });

  test("does not count one that was lost before the body was on it, nor one that died without it in the rest", () => {
    const { isolation, add, time } = stage();
    const one = add("one");
    isolation.take("a");
    isolation.begin();
    lose(one);
    assert.equal(isolation.end("a", true), false);
    one.setUp(true);
    lose(one);
    one.setUp(true);
    isolation.take("a");
    isolation.begin();
    lose(one);
    assert.equal(isolation.end("a", true), false, "it died without the body, too");
    one.setUp(true);
    time.now += 1;
    isolation.take("a");
    lose(one);
    isolation.end("a", false);
    one.setUp(true);
    isolation.take("a");
    isolation.begin();
    lose(one);
    assert.equal(isolation.end("a", true), false, "it died before it had the body");
  });

  test("gives back what it keeps when nobody waits any more, and what goes down", () => {
    const { isolation, add } = stage();
    const one = add("one");
    void one.scan(body);
    isolation.take("a");
    assert.equal(isolation.isKept(one), true);
    isolation.giveUp();
    assert.equal(isolation.isKept(one), false);
    isolation.take("a");
    lose(one);
    assert.equal(isolation.take("a"), null);
    assert.equal(isolation.isKept(one), false);
  });

  function lose(backend: FakeBackend): void {
    backend.setUp(false);
  }
});

const body = fakeBody({ size: 1 });

function stage({ maxEntries = 10 }: { readonly maxEntries?: number } = {}) {
  const backends = new Set<FakeBackend>();
  const time = { now: 0 };
  const isolation = createIsolation({ backends, ttlMs: 1000, maxEntries, maxRestMs: 400, clock: () => time.now });
  return {
    isolation,
    time,
    add(name: string): FakeBackend {
      const backend = fakeBackend({ name, onChange: isolation.look });
      backends.add(backend);
      isolation.look();
      return backend;
    },
  };
}

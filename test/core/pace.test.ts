import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Pace } from "../../src/core/pace.ts";

function paceAt(minBytesPerSecond: number) {
  const time = { now: 5_000 };
  const pace = new Pace({ idleTimeoutMs: 1_000, minBytesPerSecond, clock: () => time.now });
  const waitFor = (ms: number, bytes: number): boolean => {
    pace.wait();
    time.now += ms;
    if (bytes > 0) pace.received(bytes);
    return pace.isTooSlow();
  };
  return { pace, time, waitFor };
}

describe("Pace", () => {
  test("bears a wait below the timeout and none that reaches it", () => {
    assert.equal(paceAt(0).waitFor(999, 1), false);
    assert.equal(paceAt(0).waitFor(1_000, 0), true);
  });

  test("counts a wait on, however often it is looked at", () => {
    const { waitFor } = paceAt(0);
    assert.equal(waitFor(400, 0), false);
    assert.equal(waitFor(400, 0), false);
    assert.equal(waitFor(200, 0), true);
  });

  test("finds a trickle too slow at the end of a window of waiting", () => {
    const { waitFor } = paceAt(100);
    for (let tenth = 0; tenth < 9; tenth += 1) assert.equal(waitFor(100, 9), false);
    assert.equal(waitFor(100, 9), true);
  });

  test("bears the minimum rate for ever", () => {
    const { waitFor } = paceAt(100);
    for (let tenth = 0; tenth < 100; tenth += 1) assert.equal(waitFor(100, 10), false);
  });

  test("does not let an early burst pay for later windows", () => {
    const { waitFor } = paceAt(100);
    assert.equal(waitFor(500, 1_000_000), false);
    assert.equal(waitFor(600, 1), false);
    assert.equal(waitFor(600, 1), false);
    assert.equal(waitFor(600, 1), true);
  });

  test("does not count the time in which nobody waits", () => {
    const { waitFor, time } = paceAt(100);
    for (let turn = 0; turn < 50; turn += 1) {
      time.now += 60_000;
      assert.equal(waitFor(10, 1), false);
    }
  });

  test("says when to look again", () => {
    const { pace, time } = paceAt(100);
    pace.wait();
    assert.equal(pace.remainingMs(), 1_000);
    time.now += 300;
    assert.equal(pace.remainingMs(), 700);
    pace.received(10);
    pace.wait();
    assert.equal(pace.remainingMs(), 700);
    time.now += 5_000;
    assert.equal(pace.remainingMs(), 1);
  });
});

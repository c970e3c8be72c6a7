import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { nextCheckMs, pauseAfterLossMs, type ScheduleOptions } from "../../src/signatures/schedule.ts";

const minute = 60_000;
const hour = 60 * minute;
const now = Date.UTC(2026, 10, 22, 12);

function next(changes: Partial<ScheduleOptions>, random = 0.5): number {
  return nextCheckMs({
    checksPerDay: 12,
    last: { outcome: "up-to-date", coolDownUntil: null },
    failures: 0,
    now,
    random: () => random,
    ...changes,
  });
}

describe("nextCheckMs", () => {
  test("checks at once at the start", () => assert.equal(next({ last: null }), 0));

  for (const checksPerDay of [1, 2, 12, 50]) {
    test(`spreads ${checksPerDay} checks over the day, a tenth either way`, () => {
      const interval = (24 * hour) / checksPerDay;
      for (const outcome of ["updated", "up-to-date"] as const) {
        const last = { outcome, coolDownUntil: null };
        assert.equal(Math.round(next({ checksPerDay, last }, 0.5)), interval);
        assert.ok(next({ checksPerDay, last }, 0) >= interval * 0.9 - 1);
        assert.ok(next({ checksPerDay, last }, 0.999) <= interval * 1.1);
      }
    });
  }

  test("tries again soon after a failure, then twice as late each time, at most an hour", () => {
    const last = { outcome: "failed", coolDownUntil: null } as const;
    const waits = [1, 2, 3, 4, 5, 6, 7, 1000].map((failures) => next({ checksPerDay: 2, last, failures }, 0) / minute);
    assert.deepEqual(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
  });

  test("never waits longer after a failure than after a success", () => {
    const last = { outcome: "failed", coolDownUntil: null } as const;
    assert.ok(next({ checksPerDay: 50, last, failures: 20 }) <= (24 * hour) / 50);
  });

  for (const outcome of ["rate-limited", "blocked"] as const) {
    test(`waits for the end of the cool-down when ${outcome}`, () => {
      const until = new Date(now + 20 * hour);
      for (const random of [0, 0.5, 0.999]) {
        const wait = next({ last: { outcome, coolDownUntil: until } }, random);
        assert.ok(wait >= 20 * hour && wait <= 20 * hour + 10 * minute);
      }
    });

    test(`does not ask more often than usual when ${outcome} and the cool-down is short or over`, () => {
      assert.equal(Math.round(next({ last: { outcome, coolDownUntil: new Date(now + 1000) } })), 2 * hour);
      assert.equal(Math.round(next({ last: { outcome, coolDownUntil: new Date(now - hour) } })), 2 * hour);
    });
  }

  test("waits as freshclam would when no time was named", () => {
    assert.equal(next({ last: { outcome: "rate-limited", coolDownUntil: null } }, 0), 4 * hour);
    assert.equal(next({ last: { outcome: "blocked", coolDownUntil: null } }, 0), 24 * hour);
  });

  test("never waits longer than a timer can: a cool-down of years is looked at again after a week", () => {
    for (const until of [new Date(now + 25 * 24 * hour), new Date("2037-01-01"), new Date(8.64e15)]) {
      for (const outcome of ["rate-limited", "blocked"] as const) {
        assert.equal(next({ last: { outcome, coolDownUntil: until } }, 0.999), 7 * 24 * hour);
      }
    }
  });
});

describe("pauseAfterLossMs", () => {
  test("grows from nothing to six hours, and stays there", () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(pauseAfterLossMs),
      [0, 1, 4, 16, 64].map((minutes) => minutes * minute),
    );
    assert.deepEqual([6, 7, 8, 1_000].map(pauseAfterLossMs), [256 * minute, 6 * hour, 6 * hour, 6 * hour]);
  });
});

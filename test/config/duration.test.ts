import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { dayMs, duration, formatDuration, hourMs, longestTimerMs } from "../../src/config/numbers.ts";
import { faultsOf, isTaken, valueFrom } from "./parsing.ts";

const anyDuration = duration({ fromMs: 0, toMs: Number.MAX_SAFE_INTEGER });

describe("duration", () => {
  test("reads milliseconds, seconds, minutes, hours and days in either case", () => {
    const known = {
      "500ms": 500,
      "30s": 30_000,
      "10m": 600_000,
      "24h": 86_400_000,
      "7d": 604_800_000,
      "5M": 300_000,
      "1MS": 1,
      "0": 0,
    };
    for (const [text, ms] of Object.entries(known)) assert.equal(valueFrom(anyDuration, text), ms, text);
  });

  test("reads a plain number as the setting's own unit", () => {
    assert.equal(valueFrom(anyDuration, "90"), 90_000);
    assert.equal(valueFrom(duration({ fromMs: 0, toMs: dayMs, plainUnit: "h" }), "2"), 2 * hourMs);
  });

  test("reads back what formatDuration writes", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (ms) => assert.equal(valueFrom(anyDuration, formatDuration(ms)), ms)));
  });

  test("refuses what is not a duration", () => {
    for (const text of ["s", "-1s", "1.5h", "1h30m", "10 m", "1w", "30sec", "1:30", "forever"]) {
      assert.deepEqual(faultsOf(anyDuration, text), [`${text} is not a duration`]);
    }
  });

  test("takes only digits with at most one unit, whatever comes", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 6 }), (text) => {
        assert.equal(isTaken(anyDuration, text), /^[0-9]+(ms|s|m|h|d)?$/i.test(text));
      }),
    );
  });

  test("holds to its range, ends included", () => {
    const oneToTen = duration({ fromMs: 1000, toMs: 10_000 });
    assert.deepEqual(faultsOf(oneToTen, "999ms"), ["999ms is too small"]);
    assert.equal(valueFrom(oneToTen, "1s"), 1000);
    assert.equal(valueFrom(oneToTen, "10000ms"), 10_000);
    assert.deepEqual(faultsOf(oneToTen, "10001ms"), ["10001ms is too large"]);
    assert.equal(oneToTen.allowed, "whole seconds or a number with ms, s, m, h or d, from 1s to 10s");
  });

  test("keeps the longest timer below what setTimeout can wait", () => {
    assert.ok(longestTimerMs < 2 ** 31);
  });
});

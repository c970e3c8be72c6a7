import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exponentialBackoff } from "../../src/process/backoff.ts";

describe("exponentialBackoff", () => {
  const delays = (random: () => number): readonly number[] => {
    const backoff = exponentialBackoff({ firstDelayMs: 1_000, maxDelayMs: 30_000, random });
    return Array.from({ length: 8 }, () => backoff.next());
  };

  test("doubles up to the maximum and stays there", () => {
    const almostOne = 1 - 2 ** -40;
    assert.deepEqual(
      delays(() => almostOne),
      [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000],
    );
  });

  test("takes no less than half of it, whatever the random says", () => {
    assert.deepEqual(
      delays(() => 0),
      [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000],
    );
  });

  test("begins again after a reset", () => {
    const backoff = exponentialBackoff({ firstDelayMs: 10, maxDelayMs: 100, random: () => 0 });
    backoff.next();
    backoff.next();
    backoff.reset();
    assert.equal(backoff.next(), 5);
  });

  test("never exceeds a maximum below the first delay", () => {
    const backoff = exponentialBackoff({ firstDelayMs: 1_000, maxDelayMs: 100, random: () => 0.5 });
    assert.equal(backoff.next(), 75);
  });
});

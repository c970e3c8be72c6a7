import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { TokenBucket } from "../../src/auth/token-bucket.ts";

describe("TokenBucket", () => {
  for (const amount of [1, 2, 3, 7, 100, 500_000_000]) {
    test(`lets ${amount} of ${amount} go at once, not one more, and one more after its share of the time`, () => {
      const { bucket, pass } = stage(amount, 10_000);
      bucket.take(amount - 1);
      assert.equal(bucket.left(), 1);
      assert.equal(bucket.waitMs(1), 0);
      bucket.take(1);
      assert.equal(bucket.left(), 0);
      const waitMs = bucket.waitMs(1);
      assert.ok(Math.abs(waitMs - 10_000 / amount) < 1e-5);
      pass(waitMs);
      assert.equal(bucket.waitMs(1), 0);
      assert.equal(bucket.left(), 1);
    });
  }

  test("lets no more go than there is", () => {
    const { bucket } = stage(10, 1_000);
    bucket.take(4);
    assert.deepEqual(
      [5, 6, 7].map((tokens) => bucket.waitMs(tokens) === 0),
      [true, true, false],
    );
    assert.equal(bucket.waitMs(7), 100);
  });

  test("holds no more than its size, however long it rests", () => {
    const { bucket, pass } = stage(10, 1_000);
    pass(1e9);
    assert.equal(bucket.left(), 10);
    bucket.take(10);
    assert.equal(bucket.waitMs(1), 100);
  });

  test("lets more than its size go when it is full, and is owed the rest", () => {
    const { bucket, pass } = stage(10, 1_000);
    assert.equal(bucket.waitMs(25), 0);
    bucket.take(25);
    assert.equal(bucket.left(), 0);
    assert.equal(bucket.waitMs(1), 1_600);
    pass(1_500);
    assert.equal(bucket.left(), 0);
    assert.equal(bucket.waitMs(1), 100);
    pass(999);
    // One millisecond before it is full.
    assert.equal(bucket.waitMs(25), 1);
    pass(1);
    assert.equal(bucket.waitMs(25), 0);
  });

  test("takes back what was not used, and never holds more for it", () => {
    const { bucket, pass } = stage(10, 1_000);
    bucket.take(8);
    bucket.take(-5);
    assert.equal(bucket.left(), 7);
    pass(1_000);
    bucket.take(-5);
    assert.equal(bucket.left(), 10);
    assert.equal(bucket.waitMs(10), 0);
    bucket.take(10);
    assert.equal(bucket.left(), 0);
  });

  test("lets go over a long time what its rate says, whatever the steps", () => {
    const steps = fc.array(fc.record({ passMs: fc.nat(400), tokens: fc.integer({ min: 1, max: 10 }) }), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (list) => {
        const { bucket, pass } = stage(10, 1_000);
        let passedMs = 0;
        let taken = 0;
        for (const { passMs, tokens } of list) {
          pass(passMs);
          passedMs += passMs;
          if (bucket.waitMs(tokens) > 0) continue;
          bucket.take(tokens);
          taken += tokens;
        }
        assert.ok(taken <= 10 + passedMs / 100 + 1e-6);
      }),
    );
  });
});

function stage(amount: number, windowMs: number) {
  let now = 12_345.678;
  const bucket = new TokenBucket({ amount, windowMs }, () => now);
  const pass = (ms: number) => {
    now += ms;
  };
  return { bucket, pass };
}

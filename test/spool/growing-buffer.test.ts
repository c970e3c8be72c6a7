import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Budget } from "../../src/spool/budget.ts";
import { GrowingBuffer } from "../../src/spool/growing-buffer.ts";
import { sampleBytes } from "./scripted-body.ts";

describe("GrowingBuffer", () => {
  test("reserves exactly a single chunk", () => {
    const budget = new Budget(5000);
    const buffer = new GrowingBuffer({ budget, maxBytes: 5000 });
    assert.equal(buffer.tryAppend(sampleBytes(1234)), true);
    assert.equal(budget.used, 1234);
    const memory = buffer.view.buffer;
    assert.equal(buffer.trim().buffer, memory, "no second copy");
  });

  test("grows a handful of times for thousands of bytes one by one", () => {
    const budget = new Budget(1 << 20);
    const buffer = new GrowingBuffer({ budget, maxBytes: 1 << 20 });
    const sizes = new Set<number>();
    const whole = sampleBytes(10_000);
    for (const byte of whole) {
      buffer.tryAppend(Uint8Array.of(byte));
      sizes.add(budget.used);
    }
    assert.equal(sizes.size <= 16, true);
    assert.deepEqual(Buffer.from(buffer.trim()), Buffer.from(whole));
    assert.equal(budget.used, 10_000);
    buffer.release();
    assert.equal(budget.used, 0);
  });

  test("stops at its limit and at the budget's, keeping what it has", () => {
    const budget = new Budget(150);
    const buffer = new GrowingBuffer({ budget, maxBytes: 200 });
    assert.equal(buffer.tryAppend(sampleBytes(100)), true);
    assert.equal(buffer.tryAppend(sampleBytes(51)), false);
    assert.equal(buffer.tryAppend(sampleBytes(50)), true, "the exact rest fits where doubling does not");
    assert.deepEqual([buffer.view.length, budget.used, buffer.length], [150, 150, 150]);
    buffer.release();
    const small = new GrowingBuffer({ budget, maxBytes: 10 });
    assert.deepEqual([small.tryAppend(sampleBytes(11)), small.tryAppend(sampleBytes(10))], [false, true]);
    assert.equal(budget.used, 10);
  });

  test("does not double beyond the expected end", () => {
    const budget = new Budget(5000);
    const buffer = new GrowingBuffer({ budget, maxBytes: 5000, expectedBytes: 1100 });
    buffer.tryAppend(sampleBytes(1000));
    buffer.tryAppend(sampleBytes(100));
    assert.equal(budget.used, 1100);
    buffer.tryAppend(sampleBytes(1));
    assert.equal(budget.used, 2200);
  });
});

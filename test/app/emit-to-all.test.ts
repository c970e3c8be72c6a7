import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { observeAll } from "../../src/app/emit-to-all.ts";
import type { Fact } from "../../src/core/events.ts";
import { everyFact } from "../log/every-event.ts";

describe("observeAll", () => {
  test("tells every observer, in order", () => {
    const told: [string, Fact][] = [];
    const observe = observeAll(
      (fact) => told.push(["first", fact]),
      (fact) => told.push(["second", fact]),
    );
    observe(everyFact.notice);
    assert.deepEqual(told, [
      ["first", everyFact.notice],
      ["second", everyFact.notice],
    ]);
  });

  test("keeps what one throws from the others and from the caller", () => {
    const told: Fact[] = [];
    const observe = observeAll(
      () => {
        throw new Error("broken observer");
      },
      (fact) => told.push(fact),
    );
    for (const fact of Object.values(everyFact)) observe(fact);
    assert.equal(told.length, Object.keys(everyFact).length);
  });

  test("does without observers", () => {
    observeAll()(everyFact.notice);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createFairQueue } from "../../../src/core/queues/fair-queue.ts";
import { costMs } from "../../cost.ts";

describe("createFairQueue", () => {
  test("serves clients in turn, and those of one in the order they came", () => {
    const { queue, all } = stage();
    for (const item of ["a1", "a2", "a3", "b1", "c1", "b2"]) queue.add(item.charAt(0), item);
    assert.deepEqual(all(), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    assert.equal(queue.size(), 0);
  });

  test("gives who comes anew the turn behind those who wait", () => {
    const { queue, all } = stage();
    for (const item of ["a1", "a2", "b1"]) queue.add(item.charAt(0), item);
    assert.equal(queue.first(), "a1");
    assert.equal(queue.next(), "a1");
    queue.add("c", "c1");
    assert.deepEqual(all(), ["b1", "a2", "c1"]);
  });

  test("lets anybody leave, once", () => {
    const { queue, all } = stage();
    const leave = ["a1", "a2", "b1"].map((item) => queue.add(item.charAt(0), item));
    leave[1]?.();
    leave[1]?.();
    leave[2]?.();
    assert.deepEqual(all(), ["a1"]);
    leave[0]?.();
    assert.equal(queue.size(), 0);
    assert.equal(queue.next(), null);
  });

  test("lets a lone client fill it, and refuses the next one", () => {
    for (const max of [0, 1, 3]) {
      const { queue, crowdedOut } = stage({ max });
      for (let count = 0; count < max; count += 1) assert.notEqual(queue.add("a", `a${count}`), null);
      assert.equal(queue.add("a", "one too many"), null);
      assert.deepEqual([queue.size(), crowdedOut], [max, []]);
    }
  });

  test("makes room for a client with fewer: the last of the longest line leaves, until they have as many", () => {
    const { queue, crowdedOut, all } = stage({ max: 4 });
    for (const item of ["a1", "a2", "a3", "a4", "b1", "b2"]) assert.notEqual(queue.add(item.charAt(0), item), null);
    assert.deepEqual(crowdedOut, ["a4", "a3"]);
    assert.equal(queue.add("b", "b3"), null);
    // One more than the newcomer would have: nothing would be fairer for the change.
    assert.notEqual(queue.add("c", "c1"), null);
    assert.deepEqual(all().length, 4);
  });

  test("gives batch one turn of five while interactive waits, in turn among themselves, and every turn else", () => {
    const { queue, all } = stage();
    for (let count = 1; count <= 3; count += 1) for (const client of ["x", "a", "y", "b", "c"]) queue.add(client, client + count);
    assert.deepEqual(all().join(" "), "a1 b1 c1 a2 x1 b2 c2 a3 b3 y1 c3 x2 y2 x3 y3");
    // No turns are owed for a time in which nobody else waited.
    for (const item of ["x1", "x2", "a1", "a2", "a3", "a4", "a5"]) queue.add(item.charAt(0), item);
    assert.deepEqual(all().join(" "), "a1 a2 a3 a4 x1 a5 x2");
  });

  test("makes room for whoever has fewer, whatever the priority", () => {
    const { queue, crowdedOut } = stage({ max: 4 });
    for (const item of ["a1", "a2", "a3", "a4"]) queue.add("a", item);
    assert.notEqual(queue.add("x", "x1"), null);
    assert.deepEqual(crowdedOut, ["a4"]);
  });

  test("holds one client to its own limit, whoever else is there", () => {
    const { queue, crowdedOut } = stage({ max: 10, maxOfOne: 2 });
    assert.deepEqual(
      ["a1", "a2", "a3", "b1"].map((item) => queue.add(item.charAt(0), item) !== null),
      [true, true, false, true],
    );
    assert.deepEqual(crowdedOut, []);
  });

  test("never holds more than it may, and loses nobody", () => {
    const steps = fc.array(
      fc.record({ client: fc.constantFrom("a", "b", "c", "x", "y"), kind: fc.constantFrom("add", "add", "next", "leave") }),
    );
    fc.assert(
      fc.property(steps, fc.nat(6), (list, max) => {
        const { queue, crowdedOut } = stage({ max });
        const there = new Map<string, () => void>();
        for (const [number, { client, kind }] of list.entries()) {
          const item = `${client}${number}`;
          if (kind === "add") {
            const leave = queue.add(client, item);
            if (leave !== null) there.set(item, leave);
            for (const gone of crowdedOut.splice(0)) assert.ok(there.delete(gone));
          } else if (kind === "next") {
            const first = queue.first();
            const next = queue.next();
            assert.equal(next, first);
            assert.equal(next === null, there.size === 0);
            if (next !== null) assert.ok(there.delete(next));
          } else {
            const [item = "", leave] = there.entries().find(([one]) => one.startsWith(client)) ?? [];
            leave?.();
            there.delete(item);
          }
          assert.equal(queue.size(), there.size);
          assert.ok(there.size <= max);
        }
        for (let next = queue.next(); next !== null; next = queue.next()) assert.ok(there.delete(next));
        assert.equal(there.size, 0);
      }),
    );
  });

  test("keeps what one waits and is served for within twice of its time alone, at p95, while another floods four places", () => {
    const { queue } = stage({ max: 40, maxOfOne: 20 });
    const serviceMs = (number: number) => 150 + ((number * 37) % 100);
    /** When each place is free again. */
    const places = [0, 0, 0, 0];
    const alone: number[] = [];
    const beside: number[] = [];
    let arrivesAt = 1_000;
    let isWaiting = false;
    for (let number = 0; beside.length < 200; number += 1) {
      while (queue.add("flood", "flood") !== null);
      const at = Math.min(...places);
      if (!isWaiting && at >= arrivesAt) isWaiting = queue.add("honest", "honest") !== null;
      const freeAt = at + serviceMs(number);
      places[places.indexOf(at)] = freeAt;
      if (queue.next() !== "honest") continue;
      isWaiting = false;
      alone.push(serviceMs(number));
      beside.push(freeAt - arrivesAt);
      arrivesAt = freeAt;
    }
    const p95 = (times: readonly number[]) => times.toSorted((a, b) => a - b)[Math.ceil(times.length * 0.95) - 1] ?? Number.NaN;
    assert.ok(p95(beside) <= 2 * p95(alone), `${p95(beside)} ms, ${p95(alone)} ms alone`);
  });

  test("takes no longer for each of 100,000 that leave at once, last first", () => {
    const { queue } = stage({ max: 100_000 });
    const leaving = Array.from({ length: 100_000 }, (_, number) => queue.add(`${number % 3}`, `${number}`));
    const ms = costMs(() => {
      for (const leave of leaving.reverse()) leave?.();
    });
    // With an array it took 3 s.
    assert.ok(ms < 1_000, `${ms} ms`);
    assert.equal(queue.size(), 0);
  });
});

function stage({ max = 100, maxOfOne = Infinity }: { readonly max?: number; readonly maxOfOne?: number } = {}) {
  const crowdedOut: string[] = [];
  const queue = createFairQueue<string>({
    max,
    maxOfOne,
    priorityOf: (client) => (client >= "x" ? "batch" : "interactive"),
    crowdOut: (item) => crowdedOut.push(item),
  });
  function all(): string[] {
    const items: string[] = [];
    for (let next = queue.next(); next !== null; next = queue.next()) items.push(next);
    return items;
  }
  return { queue, crowdedOut, all };
}

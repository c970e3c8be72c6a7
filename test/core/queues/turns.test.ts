import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTurns } from "../../../src/core/queues/turns.ts";

const { signal: live } = new AbortController();

describe("createTurns", () => {
  test("lets n at once, and the next when one ends, in the order in which they came", async () => {
    const turns = createTurns({ maxAtOnce: 2, maxWaitMs: 10_000, refusal: "Too many" });
    const order: number[] = [];
    const first = await turns.take("a", live);
    const second = await turns.take("a", live);
    const later = [3, 4].map(async (number) => {
      const end = await turns.take("a", live);
      order.push(number);
      return end;
    });
    await new Promise(setImmediate);
    assert.deepEqual(order, []);
    second();
    const third = await later[0];
    assert.deepEqual(order, [3]);
    first();
    const fourth = await later[1];
    assert.deepEqual(order, [3, 4]);
    third?.();
    fourth?.();
    await turns.take("a", live);
    await turns.take("a", live);
  });

  test("lets clients that wait take turns, however many one of them has waiting", async () => {
    const turns = createTurns({ maxAtOnce: 1, maxWaitMs: 10_000, refusal: "Too many" });
    const order: string[] = [];
    const end = await turns.take("many", live);
    const walks = ["many", "many", "many", "few"].map(async (client) => {
      const endTurn = await turns.take(client, live);
      order.push(client);
      endTurn();
    });
    end();
    await Promise.all(walks);
    assert.deepEqual(order, ["many", "few", "many", "many"]);
  });

  test("rejects who waited too long or does not want it any more, and passes them over", async () => {
    const turns = createTurns({ maxAtOnce: 1, maxWaitMs: 20, refusal: "Too many" });
    const end = await turns.take("a", live);
    const leaving = new AbortController();
    const left = turns.take("a", leaving.signal);
    const late = turns.take("a", live);
    leaving.abort(new Error("gone"));
    await assert.rejects(left, /gone/);
    await assert.rejects(late, { name: "ClamgateError", code: "queue-timeout" });
    await assert.rejects(turns.take("a", leaving.signal), /gone/);
    end();
    (await turns.take("a", live))();
  });
});

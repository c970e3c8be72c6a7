import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createFairPlaces } from "../../../src/core/queues/fair-queue.ts";
import { failsWith } from "../../front/proxy/refusing.ts";

const never = () => new AbortController().signal;

/** Takes, and tells at once who has a place. */
function stageOf(places: number, maxWaiting = 100) {
  const fair = createFairPlaces({ places, maxWaiting });
  const admitted: string[] = [];
  const held: (() => void)[] = [];
  return {
    admitted,
    held,
    fair,
    async take(client: string, count = 1) {
      for (let at = 0; at < count; at += 1) {
        void fair.take(client, never()).then((release) => {
          admitted.push(client);
          held.push(release);
        });
      }
      await settled();
    },
    async release(at: number) {
      held[at]?.();
      await settled();
    },
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("createFairPlaces", () => {
  test("gives a lone client a ninth of the places, and no more", async () => {
    const stage = stageOf(72);
    await stage.take("a", 20);
    assert.equal(stage.admitted.length, 8);
    await stage.release(0);
    assert.equal(stage.admitted.length, 9);
  });

  test("has a place for the next client at once after forty that took what they could get", async () => {
    const stage = stageOf(1024, 1000);
    for (let client = 0; client < 40; client += 1) await stage.take(`busy ${client}`, 120);
    const before = stage.admitted.length;
    assert.ok(before > 900);
    await stage.take("next");
    assert.deepEqual(stage.admitted.slice(before), ["next"]);
  });

  test("never gives more places than there are", async () => {
    const stage = stageOf(4);
    for (const client of ["a", "b", "c", "d", "e", "f"]) await stage.take(client, 3);
    assert.deepEqual(stage.admitted, ["a", "b", "c", "d"]);
  });

  test("lets clients that wait take turns, whoever has waited with more", async () => {
    const stage = stageOf(1);
    await stage.take("first");
    await stage.take("many", 4);
    await stage.take("few", 2);
    await stage.take("one");
    for (let at = 0; at < 7; at += 1) await stage.release(at);
    assert.deepEqual(stage.admitted, ["first", "many", "few", "one", "many", "few", "many", "many"]);
  });

  test("lets no more of one client wait than may, and others still", async () => {
    const stage = stageOf(1, 2);
    await stage.take("a", 3);
    await assert.rejects(stage.fair.take("a", never()), failsWith("queue-full"));
    await stage.take("b");
    await stage.release(0);
    assert.deepEqual(stage.admitted, ["a", "a"]);
  });

  test("forgets who gives up, with their reason, and gives the turn to the next", async () => {
    const stage = stageOf(1, 1);
    await stage.take("a");
    const controller = new AbortController();
    const given = stage.fair.take("b", controller.signal);
    const reason = new Error("gone");
    controller.abort(reason);
    await assert.rejects(given, reason);
    await assert.rejects(stage.fair.take("b", controller.signal), reason);
    await stage.take("b");
    await stage.release(0);
    assert.deepEqual(stage.admitted, ["a", "b"]);
  });
});

/** A redis that is slow costs a scan its budget, and soon nothing. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RedisSession } from "../../../src/cache/redis/session.ts";
import { RedisStore } from "../../../src/cache/redis/store.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { ManualTime } from "../manual-time.ts";
import { standalone } from "../redis-stage.ts";

const command = ["GETRANGE", "a key", "0", "1"] as const;

/** Answers as the test says, in a time that passes as it says. */
async function stage(send: RedisSession["send"]) {
  const time = new ManualTime();
  const events: GatewayEvent[] = [];
  let sends = 0;
  const session: RedisSession = {
    send(given) {
      sends += 1;
      return send(given);
    },
    probe: async () => {},
    isWhole: () => true,
    lost: new Promise(() => {}),
    destroy() {},
  };
  const store = new RedisStore({
    target: { place: standalone({ host: "127.0.0.1", port: 1 }), username: null, password: null, database: 0, tls: null },
    emit: (event) => events.push(event),
    clock: time.clock,
    timers: time,
    open: async () => session,
  });
  while (store.health() !== "ok") await new Promise((resolve) => setImmediate(resolve));
  events.length = 0;
  /** All that were asked so far and have no answer are late. */
  async function late(operation: "get" | "set" = "get"): Promise<unknown> {
    const answer = store.ask(operation, command);
    time.advance(50);
    return answer;
  }
  return { time, events, store, late, sends: () => sends };
}

describe("RedisStore", () => {
  const never = () => new Promise<never>(() => {});

  test("waits for its budget and no longer, and drops what comes later", async () => {
    for (const settle of ["resolve", "reject"] as const) {
      const answer = Promise.withResolvers<unknown>();
      const { time, events, store } = await stage(() => answer.promise);
      let isAnswered = false;
      const asking = store.ask("get", command).finally(() => {
        isAnswered = true;
      });
      time.advance(49);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(isAnswered, false);
      time.advance(1);
      assert.equal(await asking, undefined);
      assert.deepEqual(events, [{ kind: "cache-failed", operation: "get", detail: "no answer within 50 ms" }]);
      answer[settle](new Error("late"));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(store.health(), settle === "resolve" ? "ok" : "degraded");
      await store.close();
    }
  });

  test("has no timer left once it is answered", async () => {
    const { time, store } = await stage(async () => "text");
    const { waiting } = time;
    assert.equal(await store.ask("get", command), "text");
    assert.equal(time.waiting, waiting);
    await store.close();
  });

  test("leaves a redis alone after five late answers in a row, then has one command try it again", async () => {
    let isSlow = true;
    const { time, events, store, late, sends } = await stage(() => (isSlow ? never() : Promise.resolve("text")));
    for (let times = 0; times < 5; times += 1) {
      assert.equal(store.health(), "ok");
      await late(times % 2 === 0 ? "get" : "set");
    }
    assert.match(JSON.stringify(events.at(-1)), /left alone for 5000 ms/);
    assert.equal(store.health(), "degraded");
    for (let times = 0; times < 3; times += 1) assert.equal(await store.ask("get", command), undefined);
    assert.deepEqual([sends(), events.length], [5, 5]);
    time.advance(5000);
    await Promise.all([late(), store.ask("get", command)]);
    assert.equal(sends(), 6);
    isSlow = false;
    time.advance(5000);
    assert.equal(await store.ask("get", command), "text");
    assert.deepEqual([store.health(), await store.ask("get", command)], ["ok", "text"]);
    await store.close();
  });

  test("starts counting again after an answer, if only a refusal", async () => {
    let isSlow = true;
    const { store, late, sends } = await stage(() => (isSlow ? never() : Promise.reject(new Error("no"))));
    for (let times = 1; times <= 30; times += 1) {
      isSlow = times % 5 !== 0;
      await (isSlow ? late() : store.ask("get", command));
    }
    assert.equal(sends(), 30);
    await store.close();
  });
});

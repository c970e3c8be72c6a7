import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Heartbeat } from "../../../src/cache/redis/link.ts";
import { ManualTime } from "../manual-time.ts";

function watched() {
  const time = new ManualTime();
  const happened: string[] = [];
  const watch = new Heartbeat({
    timers: time,
    tickMs: 500,
    probe: () => happened.push("probe"),
    onSilent: () => happened.push("silent"),
  });
  return { time, happened, watch };
}

describe("Heartbeat", () => {
  test("asks at every tick at which nothing else is asked", async () => {
    const { time, happened, watch } = watched();
    time.advance(499);
    assert.deepEqual(happened, []);
    time.advance(1);
    time.advance(500);
    assert.deepEqual(happened, ["probe", "probe"]);
    const { promise, resolve } = Promise.withResolvers<string>();
    const answer = watch.track(promise);
    time.advance(500);
    assert.equal(happened.length, 2);
    resolve("here");
    assert.equal(await answer, "here");
    time.advance(500);
    assert.equal(happened.length, 3);
  });

  test("tells of a question that two more ticks found open, once", () => {
    const { time, happened, watch } = watched();
    void watch.track(new Promise(() => {}));
    time.advance(500);
    time.advance(500);
    assert.deepEqual(happened, []);
    time.advance(500);
    assert.deepEqual([happened, time.waiting], [["silent"], 0]);
  });

  test("does not take a tick that came very late for silence", () => {
    const { time, happened, watch } = watched();
    void watch.track(new Promise(() => {}));
    time.advance(60_000);
    assert.deepEqual(happened, []);
  });

  test("is content as long as the oldest question is another one each time", async () => {
    const { time, happened, watch } = watched();
    for (let turn = 0; turn < 10; turn += 1) {
      const asked = Promise.withResolvers<void>();
      const answer = watch.track(asked.promise);
      time.advance(500);
      time.advance(500);
      asked.resolve();
      await answer;
    }
    assert.deepEqual(happened, []);
  });

  test("counts a refusal as an answer", async () => {
    const { time, happened, watch } = watched();
    await assert.rejects(watch.track(Promise.reject(new Error("no"))), /^Error: no$/);
    time.advance(500);
    assert.deepEqual(happened, ["probe"]);
  });

  test("is over when it is stopped", () => {
    const { time, watch } = watched();
    watch.stop();
    assert.equal(time.waiting, 0);
  });
});

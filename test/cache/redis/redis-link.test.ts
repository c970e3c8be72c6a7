import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RedisLink } from "../../../src/cache/redis/link.ts";
import type { RedisSession } from "../../../src/cache/redis/session.ts";
import { ManualTime } from "../manual-time.ts";

/** A session that a test answers for. */
class ScriptedSession implements RedisSession {
  readonly #end = Promise.withResolvers<Error>();
  readonly lost = this.#end.promise;
  isDestroyed = false;
  probes = 0;
  probe = async (): Promise<void> => {
    this.probes += 1;
  };
  send = async (): Promise<unknown> => "OK";
  isWhole = (): boolean => true;

  lose(reason: string): void {
    this.#end.resolve(new Error(reason));
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

function linked({ random = 1 } = {}) {
  const time = new ManualTime();
  const happened: string[] = [];
  const attempts: PromiseWithResolvers<RedisSession>[] = [];
  const link = new RedisLink({
    open(signal) {
      const attempt = Promise.withResolvers<RedisSession>();
      attempts.push(attempt);
      signal.addEventListener("abort", () => attempt.reject(new Error("given up")));
      return attempt.promise;
    },
    probeKey: "probe",
    onUp: () => happened.push("up"),
    onDown: (reason) => happened.push(reason instanceof Error ? reason.message : "?"),
    clock: time.clock,
    timers: time,
    random: () => random,
  });
  return { time, happened, attempts, link };
}

/** All that follows from what has happened. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("RedisLink", () => {
  test("is up once a session is open and has answered", async () => {
    const { link, attempts, happened } = linked();
    const session = new ScriptedSession();
    const probed = Promise.withResolvers<void>();
    session.probe = () => probed.promise;
    attempts[0]?.resolve(session);
    await settled();
    assert.deepEqual([link.isUp, link.isWhole, happened], [false, false, []]);
    await assert.rejects(link.send(["GETRANGE", "x"]), /not connected/);
    probed.resolve();
    await settled();
    assert.deepEqual([link.isUp, link.isWhole, happened], [true, true, ["up"]]);
    assert.equal(await link.send(["GETRANGE", "x"]), "OK");
    link.close();
    assert.deepEqual([link.isUp, session.isDestroyed], [false, true]);
  });

  test("destroys a session that turns out to be of no use", async () => {
    const { link, attempts, happened } = linked();
    const session = new ScriptedSession();
    session.probe = () => Promise.reject(new Error("NOAUTH"));
    attempts[0]?.resolve(session);
    await settled();
    assert.deepEqual([session.isDestroyed, link.isUp, happened], [true, false, ["NOAUTH"]]);
    link.close();
  });

  for (const [random, delays] of [
    [1, [100, 200, 400, 800, 1600, 2000, 2000]],
    [0, [50, 100, 200, 400, 800, 1000, 1000]],
  ] as const) {
    test(`tries again for ever, ever later, spread by chance (${random})`, async () => {
      const { link, attempts, time, happened } = linked({ random });
      for (const [index, delayMs] of delays.entries()) {
        attempts[index]?.reject(new Error("refused"));
        await settled();
        assert.equal(time.nextMs, delayMs);
        time.advance(delayMs);
        assert.equal(attempts.length, index + 2);
      }
      assert.equal(happened.length, delays.length);
      link.close();
    });
  }

  test("opens another session where one was lost, soon if it had been steady, later if not", async () => {
    const { link, attempts, time, happened } = linked();
    for (const [index, { afterMs, delayMs }] of [
      { afterMs: 9999, delayMs: 100 },
      { afterMs: 9999, delayMs: 200 },
      { afterMs: 10_000, delayMs: 100 },
    ].entries()) {
      const session = new ScriptedSession();
      attempts[index]?.resolve(session);
      await settled();
      time.advance(afterMs);
      session.lose("gone");
      await settled();
      assert.deepEqual([link.isUp, session.isDestroyed, time.nextMs], [false, true, delayMs]);
      time.advance(delayMs);
    }
    assert.deepEqual(happened, ["up", "gone", "up", "gone", "up", "gone"]);
    link.close();
  });

  test("leaves a session that has stopped answering, though nobody asks", async () => {
    const { link, attempts, time, happened } = linked();
    const session = new ScriptedSession();
    attempts[0]?.resolve(session);
    await settled();
    time.advance(500);
    await settled();
    assert.equal(session.probes, 2);
    session.probe = () => new Promise(() => {});
    for (let tick = 0; tick < 4; tick += 1) {
      time.advance(500);
      await settled();
    }
    assert.deepEqual([link.isUp, session.isDestroyed, happened], [false, true, ["up", "stopped answering"]]);
    link.close();
  });

  test("begins anew when it is told to, and says nothing of it", async () => {
    const { link, attempts, time, happened } = linked();
    const session = new ScriptedSession();
    attempts[0]?.resolve(session);
    await settled();
    link.renew();
    link.renew();
    assert.deepEqual([session.isDestroyed, time.waiting], [true, 1]);
    session.lose("late");
    await settled();
    assert.deepEqual(happened, ["up"]);
    link.close();
  });

  test("destroys what is opened after it was closed, and tries no more", async () => {
    const { link, attempts, time, happened } = linked();
    const session = new ScriptedSession();
    attempts[0]?.resolve(session);
    link.close();
    await settled();
    assert.deepEqual([session.isDestroyed, link.isUp, time.waiting, happened], [true, false, 0, []]);
    const waiting = linked();
    waiting.attempts[0]?.reject(new Error("refused"));
    await settled();
    waiting.link.close();
    assert.equal(waiting.time.waiting, 0);
  });
});

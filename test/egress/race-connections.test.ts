import assert from "node:assert/strict";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { raceConnections } from "../../src/egress/dialer.ts";

/** Attempts that end when the test says so. */
function scripted() {
  const attempts = new Map<string, { resolve(socket: Socket): void; reject(error: Error): void; readonly signal: AbortSignal }>();
  const attempt = (address: string, signal: AbortSignal) =>
    new Promise<Socket>((resolve, reject) => {
      attempts.set(address, { resolve, reject, signal });
    });
  const of = (address: string) => {
    const found = attempts.get(address);
    assert.ok(found !== undefined, `${address} has not been tried`);
    return found;
  };
  return { attempt, of, tried: () => [...attempts.keys()] };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const never = 1_000_000;

describe("raceConnections", () => {
  test("tries the next address when one has failed, and not before its time", async () => {
    const { attempt, of, tried } = scripted();
    const race = raceConnections(["a", "b", "c"], { attempt, nextAfterMs: never, signal: new AbortController().signal });
    assert.deepEqual(tried(), ["a"]);
    of("a").reject(new Error("refused"));
    await settled();
    assert.deepEqual(tried(), ["a", "b"]);
    const socket = new Socket();
    of("b").resolve(socket);
    assert.equal(await race, socket);
    assert.deepEqual(tried(), ["a", "b"]);
  });

  test("tries the next beside one that takes its time; the first to connect wins, the others are called off and destroyed", async () => {
    const { attempt, of, tried } = scripted();
    const race = raceConnections(["a", "b"], { attempt, nextAfterMs: 1, signal: new AbortController().signal });
    while (tried().length < 2) await settled();
    const [winner, late] = [new Socket(), new Socket()];
    of("b").resolve(winner);
    assert.equal(await race, winner);
    assert.ok(of("a").signal.aborted);
    of("a").resolve(late);
    await settled();
    assert.ok(late.destroyed);
    assert.ok(!winner.destroyed);
  });

  test("fails with the last error when all have failed", async () => {
    const { attempt, of } = scripted();
    const race = raceConnections(["a", "b"], { attempt, nextAfterMs: never, signal: new AbortController().signal });
    of("a").reject(new Error("first"));
    await settled();
    of("b").reject(new Error("second"));
    await assert.rejects(race, /second/);
    await assert.rejects(raceConnections([], { attempt, nextAfterMs: 1, signal: new AbortController().signal }), /no address/);
  });

  test("ends with its signal, tries nothing more, and destroys what connects too late", async () => {
    const { attempt, of, tried } = scripted();
    const controller = new AbortController();
    const race = raceConnections(["a", "b"], { attempt, nextAfterMs: never, signal: controller.signal });
    const reason = new Error("gone");
    controller.abort(reason);
    await assert.rejects(race, reason);
    assert.ok(of("a").signal.aborted);
    const late = new Socket();
    of("a").resolve(late);
    await settled();
    assert.ok(late.destroyed);
    assert.deepEqual(tried(), ["a"]);
    await assert.rejects(raceConnections(["c"], { attempt, nextAfterMs: 1, signal: controller.signal }), reason);
    assert.deepEqual(tried(), ["a"]);
  });
});

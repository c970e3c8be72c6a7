import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClamgateError } from "../../src/core/errors.ts";
import { type FakeOrigin, head, ok, stall, startFakeOrigin } from "../fake/origin.ts";
import { drain, type Given, loopback, recordedUpstream } from "../front/proxy/recorded-upstream.ts";
import { failsWith } from "../front/proxy/refusing.ts";

const at = (origin: FakeOrigin, path = "/") => `http://127.0.0.1:${origin.port}${path}`;
const open = (given: Given = {}) => recordedUpstream({ allowPrivate: loopback, ...given });

describe("fetchUpstream keeps to its times (P24)", () => {
  const cases = [
    ["an answer that does not come", { headTimeoutMs: 40 }, () => stall(), "The origin took too long to answer"],
    [
      "a head that never ends",
      { headTimeoutMs: 40 },
      () => stall("HTTP/1.1 200 OK\r\nX: "),
      "The origin took too long to answer",
    ],
    ["1xx and nothing more", { headTimeoutMs: 40 }, () => stall(head(102)), "The origin took too long to answer"],
    ["a body that stops", { idleTimeoutMs: 40 }, () => stall(head(200, "Content-Length: 9"), "x"), "The origin stopped sending"],
    ["a body that never begins", { idleTimeoutMs: 40 }, () => stall(head(200)), "The origin stopped sending"],
    [
      "a byte at a time below the minimum rate",
      { idleTimeoutMs: 100, minBytesPerSecond: 100_000 },
      () => ({ kind: "drip", head: head(200), everyMs: 5 }) as const,
      "The origin sent too slowly",
    ],
    [
      "a byte at a time for ever",
      { totalTimeoutMs: 100 },
      () => ({ kind: "drip", head: head(200), everyMs: 5 }) as const,
      "The download took too long",
    ],
    ["an answer that comes after the total time", { totalTimeoutMs: 40 }, () => stall(), "The download took too long"],
  ] as const;
  for (const [what, times, act, text] of cases) {
    test(`${what} ends as too slow: ${text}`, async () => {
      await using origin = await startFakeOrigin(act);
      await using upstream = open({ times });
      const fetching = upstream.fetch(at(origin)).then(({ body }) => drain(body));
      await assert.rejects(fetching, failsWith("upstream-timeout", text));
      await origin.idle();
      assert.equal(origin.requests.length, 1);
    });
  }

  test("a connection that does not come about is too slow, and is called off", async () => {
    const calledOff: string[] = [];
    const connect = (address: string, _port: number, signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => {
          calledOff.push(address);
          reject(signal.reason);
        });
      });
    await using upstream = open({
      connect,
      times: { connectTimeoutMs: 60, nextAddressMs: 5 },
      names: { h: [["1.1.1.1", "::1"]] },
    });
    const refused = failsWith("upstream-timeout", "Connecting to the origin took too long");
    await assert.rejects(upstream.fetch("http://127.0.0.1/"), refused);
    assert.deepEqual(calledOff, ["127.0.0.1"]);
  });

  test("a reader that takes its time is not the origin's fault", async () => {
    await using origin = await startFakeOrigin(() => ok("x".repeat(100_000)));
    await using upstream = open({ times: { idleTimeoutMs: 30, minBytesPerSecond: 1_000_000 } });
    const { body } = await upstream.fetch(at(origin));
    const until = performance.now() + 80;
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(bytes, 100_000);
  });
});

describe("fetchUpstream ends with its signal (P49)", () => {
  for (const [what, act] of [
    ["before the answer", () => stall()],
    ["within the body", () => stall(head(200, "Content-Length: 9"), "x")],
  ] as const) {
    test(what, async () => {
      await using origin = await startFakeOrigin(act);
      await using upstream = open();
      const controller = new AbortController();
      const fetching = upstream.fetch(at(origin), { signal: controller.signal }).then(({ body }) => drain(body));
      while (origin.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const reason = new ClamgateError("client-gone", "The client went away");
      controller.abort(reason);
      await assert.rejects(fetching, reason);
      await origin.idle();
    });
  }

  test("before it begins: nothing is asked or dialled", async () => {
    await using upstream = open({ names: { "h.example": [["1.1.1.1"]] } });
    const reason = new Error("gone");
    await assert.rejects(upstream.fetch("http://h.example/", { signal: AbortSignal.abort(reason) }), reason);
    assert.deepEqual(upstream.dialled, []);
  });

  test("and without one when the body is left or not wanted: the connection goes", async () => {
    await using origin = await startFakeOrigin(() => stall(head(200, "Content-Length: 200000"), "x".repeat(100_000)));
    await using upstream = open();
    const left = await upstream.fetch(at(origin));
    for await (const _ of left.body) break;
    await origin.idle();
    const unwanted = await upstream.fetch(at(origin));
    unwanted.discard();
    unwanted.discard();
    await origin.idle();
  });
});

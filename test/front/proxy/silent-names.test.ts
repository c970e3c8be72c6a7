/** Names that no server answers, beside other people's names: the whole of a lookup, from a client's turn to the packet. */

import assert from "node:assert/strict";
import { lookup as getaddrinfo } from "node:dns/promises";
import { describe, test } from "node:test";
import { ClamgateError } from "../../../src/core/errors.ts";
import { createNameLookup } from "../../../src/egress/name-lookup.ts";
import { lookupDefaults } from "../../../src/egress/upstream.ts";
import { createSystemNames, thisSystem } from "../../../src/names/system-names.ts";
import { startNameServer } from "../../fake/name-server.ts";
import { ok } from "../../fake/origin.ts";
import { eventually } from "../../process/stage.ts";
import { openProxy } from "./proxy-stage.ts";
import { RawClient, requestText } from "./raw-client.ts";
import { failsWith } from "./refusing.ts";
import { privates } from "./rules.ts";

/** Of one that is not kept waiting, on a machine that is busy with other tests; a silent name is waited for 5 s. */
const promptMs = 2000;

async function startStage() {
  const server = await startNameServer((name, kind) => {
    if (name.startsWith("silent")) return "silent";
    return kind === "A" ? ["192.0.2.1"] : [];
  });
  const nowhere = "/nonexistent/clamgate";
  const resolve = createSystemNames({
    ...thisSystem(),
    paths: { hosts: nowhere, resolvConf: nowhere, nsswitch: nowhere },
    servers: [server.address],
    hostName: "box",
    environment: {},
    isIpv6First: () => false,
  });
  const lookup = createNameLookup({ ...lookupDefaults, resolve, clock: () => performance.now() });
  const flood = new AbortController();
  const silent: Promise<unknown>[] = [];
  return {
    lookup: async (name: string, client: string) => lookup(name, client, new AbortController().signal),
    server,
    silent,
    flood,
    async ask(client: string, count: number) {
      const before = new Set(server.asked).size;
      for (let at = 0; at < count; at += 1) {
        const asked = Promise.resolve(lookup(`silent${at}.${client}.example`, client, flood.signal));
        asked.catch(() => {}); // heard by the test, if it listens
        silent.push(asked);
      }
      // Nearly all, as a burst of packets may be too much for the socket.
      await eventually("they have been asked", () => new Set(server.asked).size - before >= count);
    },
    async [Symbol.asyncDispose]() {
      flood.abort(new Error("the test is over"));
      await Promise.allSettled(silent);
      await server[Symbol.asyncDispose]();
    },
  };
}

async function promptly<T>(what: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const value = await what;
  assert.ok(performance.now() - startedAt < promptMs, `${performance.now() - startedAt} ms`);
  return value;
}

describe("names that no server answers", () => {
  test("keep nobody waiting: twenty of one client, neither this client nor another", async () => {
    await using stage = await startStage();
    await stage.ask("one", 20);
    assert.deepEqual(await promptly(stage.lookup("first.example", "one")), ["192.0.2.1"]);
    assert.deepEqual(await promptly(stage.lookup("second.example", "two")), ["192.0.2.1"]);
    assert.ok(await promptly(getaddrinfo("localhost")));
  });

  test("keep nobody waiting: four of each of forty clients", async () => {
    await using stage = await startStage();
    for (let client = 0; client < 40; client += 1) await stage.ask(`client${client}`, 4);
    assert.deepEqual(await promptly(stage.lookup("first.example", "next")), ["192.0.2.1"]);
    assert.deepEqual(await promptly(stage.lookup("second.example", "client7")), ["192.0.2.1"]);
    assert.ok(await promptly(getaddrinfo("localhost")));
  });

  test("fail as too slow, in their time and not in a minute", async () => {
    await using stage = await startStage();
    const startedAt = performance.now();
    await stage.ask("one", 20);
    for (const asked of stage.silent) await assert.rejects(asked, failsWith("upstream-timeout"));
    const elapsedMs = performance.now() - startedAt;
    assert.ok(elapsedMs > lookupDefaults.timeoutMs - 100 && elapsedMs < lookupDefaults.timeoutMs + 5000, `${elapsedMs} ms`);
  });

  test("are not asked for any more once their client has gone", async () => {
    await using stage = await startStage();
    await stage.ask("one", 20);
    stage.flood.abort(new Error("gone"));
    await Promise.allSettled(stage.silent);
    const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    // Some packets were on their way.
    await wait(300);
    const asked = stage.server.asked.length;
    // Where nobody answers, a question is sent again after a second.
    await wait(1500);
    assert.equal(stage.server.asked.length, asked);
  });
});

/** No answer, until it is called off. */
function silent(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

describe("a name whose look-up waits", () => {
  const slots = { total: 1, perOrigin: 1, perClient: 0 };

  test("takes no download slot, with any method", async () => {
    const lookup = (_name: string, _client: string, signal: AbortSignal) => silent(signal);
    await using proxy = await openProxy(() => ok("hello"), { front: { slots }, upstream: { lookup } });
    for (const method of ["GET", "HEAD"]) {
      using waiting = new RawClient(proxy.port);
      waiting.send(requestText("/x", ["Download-From: http://silent.example/"], { method }));
      await eventually("it waits", () => proxy.connections() === 1);
      assert.equal((await proxy.get("/x")).status, 200);
      waiting.socket.destroy();
      await eventually("it is over", () => proxy.connections() === 0);
    }
  });

  test("keeps nobody who asks for the same: each waits in its own client's turn", async () => {
    const lookup = (_name: string, client: string, signal: AbortSignal) =>
      client === "127.0.0.1" ? silent(signal) : Promise.resolve(["127.0.0.1"]);
    await using proxy = await openProxy(() => ok("hello"), {
      upstream: { lookup, allowPrivate: privates("silent.example:*", "127.0.0.0/8:*") },
    });
    const text = requestText("/x", [`Download-From: http://silent.example:${proxy.origin.port}/`]);
    using waiting = new RawClient(proxy.port);
    waiting.send(text);
    await eventually("it waits", () => proxy.connections() === 1);
    using other = new RawClient(proxy.port, "127.0.0.2");
    other.send(text);
    assert.equal((await promptly(other.answer())).body.toString(), "hello");
  });

  test("fails those alone whose own look-up fails", async () => {
    const slow = Promise.withResolvers<readonly string[]>();
    const lookup = (_name: string, client: string) => (client === "127.0.0.1" ? slow.promise : Promise.resolve(["127.0.0.1"]));
    await using proxy = await openProxy(() => ok("hello"), {
      upstream: { lookup, allowPrivate: privates("silent.example:*", "127.0.0.0/8:*") },
    });
    const text = requestText("/x", [`Download-From: http://silent.example:${proxy.origin.port}/`]);
    using waiting = new RawClient(proxy.port);
    waiting.send(text);
    await eventually("it waits", () => proxy.connections() === 1);
    using other = new RawClient(proxy.port, "127.0.0.2");
    other.send(text);
    await eventually("the other has come", () => proxy.connections() === 2 || proxy.downloads().length === 1);
    slow.reject(new ClamgateError("upstream-timeout", "Looking up the origin's name took too long"));
    assert.deepEqual([(await waiting.answer()).status, (await other.answer()).status], [504, 200]);
  });
});

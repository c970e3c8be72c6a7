/** Names that no server answers, beside other people's names: the whole of a lookup, from a client's turn to the packet. */

import assert from "node:assert/strict";
import { lookup as getaddrinfo } from "node:dns/promises";
import { describe, test } from "node:test";
import { createNameLookup } from "../../../src/egress/name-lookup.ts";
import { lookupDefaults } from "../../../src/egress/upstream.ts";
import { createSystemNames, thisSystem } from "../../../src/names/system-names.ts";
import { startNameServer } from "../../fake/name-server.ts";
import { eventually } from "../../process/stage.ts";
import { failsWith } from "./refusing.ts";

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

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ClamdAddress, describeAddress } from "../../../src/clamd/connection.ts";
import { discoverBackends } from "../../../src/clamd/discovery.ts";
import { createPool } from "../../../src/clamd/pool.ts";
import type { GatewayEvent } from "../../../src/core/events.ts";
import { type FakeBackend, fakeBackend } from "../../fake/backend.ts";
import { fakeBody } from "../../fake/spooled-body.ts";
import { eventually } from "../../process/stage.ts";

const named = (host: string, port = 3310): ClamdAddress => ({ kind: "tcp", host, port });

describe("discoverBackends", () => {
  test("takes sockets and addresses as they are and asks nobody about them", async () => {
    const addresses: ClamdAddress[] = [{ kind: "unix", path: "/run/clamd.sock" }, named("192.0.2.1"), named("2001:db8::1")];
    using stage = discover({ addresses, lookup: () => assert.fail("nothing to look up") });
    await stage.has("unix:///run/clamd.sock", "tcp://192.0.2.1:3310", "tcp://[2001:db8::1]:3310");
  });

  test("makes each address of a name a backend, with the name's port, and each address one only", async () => {
    const addresses = [named("clamd"), named("clamd", 3311), named("192.0.2.2")];
    using stage = discover({ addresses, lookup: async () => ["192.0.2.1", "192.0.2.2", "192.0.2.1"] });
    await stage.has("tcp://192.0.2.2:3310", "tcp://192.0.2.1:3310", "tcp://192.0.2.1:3311", "tcp://192.0.2.2:3311");
  });

  test("follows what a name resolves to and leaves alone what stays", async () => {
    let hosts = ["192.0.2.1", "192.0.2.2"];
    using stage = discover({ addresses: [named("clamd")], lookup: async () => hosts });
    await stage.has("tcp://192.0.2.1:3310", "tcp://192.0.2.2:3310");
    const [first, second] = stage.made;
    hosts = ["192.0.2.2", "192.0.2.3"];
    await stage.has("tcp://192.0.2.2:3310", "tcp://192.0.2.3:3310");
    assert.deepEqual([first?.isRetired, second?.isRetired, stage.made.length], [true, false, 3]);
    hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    await stage.has("tcp://192.0.2.2:3310", "tcp://192.0.2.3:3310", "tcp://192.0.2.1:3310");
    assert.equal(stage.made.length, 4);
  });

  test("lets the scans of a backend that is gone from the name finish", async () => {
    let hosts = ["192.0.2.1"];
    using stage = discover({ addresses: [named("clamd")], lookup: async () => hosts });
    await stage.has("tcp://192.0.2.1:3310");
    const running = stage.pool.scan(fakeBody({ size: 1 }), new AbortController().signal, "a client");
    hosts = ["192.0.2.2"];
    await stage.has("tcp://192.0.2.2:3310");
    stage.made[0]?.finishNext();
    assert.equal((await running).backend, "tcp://192.0.2.1:3310");
  });

  test("keeps what it had while a name does not resolve, and says so", async () => {
    let hosts: string[] | Error = ["192.0.2.1"];
    let lookups = 0;
    const lookup = async (host: string) => {
      if (host === "other") return ["192.0.2.9"];
      lookups += 1;
      if (hosts instanceof Error) throw hosts;
      return hosts;
    };
    using stage = discover({ addresses: [named("clamd"), named("other")], lookup });
    const both = ["tcp://192.0.2.1:3310", "tcp://192.0.2.9:3310"];
    await stage.has(...both);
    for (const failure of [new Error("SERVFAIL"), []]) {
      hosts = failure;
      const seen = lookups;
      await eventually("it was asked for again", () => lookups > seen + 2);
      await stage.has(...both);
    }
    assert.equal(stage.made.length, 2);
    const messages = stage.events.map((event) => (event.kind === "notice" ? `${event.level}: ${event.message}` : event.kind));
    assert.deepEqual(
      new Set(messages),
      new Set([
        "warn: CLAMD_PORT: clamd was not resolved: SERVFAIL",
        "warn: CLAMD_PORT: clamd was not resolved: it has no address",
      ]),
    );
  });

  test("has nothing for a name that never resolved, until it does", async () => {
    let hosts: string[] | null = null;
    using stage = discover({
      addresses: [named("clamd")],
      lookup: async () => hosts ?? Promise.reject(new Error("ENOTFOUND")),
    });
    await eventually("it was said", () => stage.events.length > 0);
    await stage.has();
    hosts = ["192.0.2.1"];
    await stage.has("tcp://192.0.2.1:3310");
  });

  test("does not let a name that nobody answers for keep the others waiting, and calls it off in its time", async () => {
    const calledOff: unknown[] = [];
    const lookup = (host: string, signal: AbortSignal) => {
      if (host === "other") return Promise.resolve(["192.0.2.9"]);
      signal.addEventListener("abort", () => calledOff.push(signal.reason));
      return new Promise<string[]>(() => {});
    };
    using stage = discover({ addresses: [named("silent"), named("other")], lookup });
    await stage.has("tcp://192.0.2.9:3310");
    assert.equal(stage.events.length, 0);
    await eventually("it was said", () => stage.events.length > 0);
    const [event] = stage.events;
    assert.equal(event?.kind === "notice" && event.message, "CLAMD_PORT: silent was not resolved: no answer in 0.05 s");
    assert.equal(calledOff.length, 1);
    await stage.has("tcp://192.0.2.9:3310");
  });

  test("calls a lookup off when it is closed, and says nothing of it", async () => {
    const called = Promise.withResolvers<void>();
    const lookup = (_host: string, signal: AbortSignal) =>
      new Promise<string[]>((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason);
          called.resolve();
        });
      });
    using stage = discover({ addresses: [named("silent")], lookup });
    stage.close();
    await called.promise;
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(stage.events, []);
  });

  test("adds nothing once it is closed, also when a name is being looked up", async () => {
    const answer = Promise.withResolvers<string[]>();
    let lookups = 0;
    const lookup = () => {
      lookups += 1;
      return answer.promise;
    };
    using stage = discover({ addresses: [named("clamd")], lookup });
    stage.close();
    answer.resolve(["192.0.2.1"]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await stage.has();
    assert.equal(lookups, 1);
  });
});

function discover({
  addresses,
  lookup,
}: {
  addresses: readonly ClamdAddress[];
  lookup: (host: string, signal: AbortSignal) => Promise<string[]>;
}) {
  const events: GatewayEvent[] = [];
  const made: FakeBackend[] = [];
  const pool = createPool({ queueMax: 10, queueMaxPerClient: 10, queueTimeoutMs: 1000, clock: () => performance.now() });
  const discovery = discoverBackends({
    addresses,
    pool,
    createBackend(address) {
      const backend = fakeBackend({ name: describeAddress(address), onChange: () => pool.dispatch() });
      made.push(backend);
      return backend;
    },
    lookup,
    timeoutMs: 50,
    intervalMs: 5,
    emit: (event) => events.push(event),
  });
  const names = () => pool.status().backends.map(({ name }) => name);
  return {
    pool,
    events,
    made,
    close: discovery.close,
    /** Fails unless these are the pool's backends, now or soon. */
    async has(...expected: string[]) {
      await eventually(`the backends are ${expected}`, () => names().join() === expected.join());
    },
    [Symbol.dispose]() {
      discovery.close();
      pool.close();
    },
  };
}

/** F12, F19, F20: a Redis, a freshclam and remote clamd servers that fail in every way they can. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startGatewayProcess } from "../e2e/gateway-process.ts";
import { startDeafListener } from "../engine/deaf-listener.ts";
import { clean, found, startFakeClamd } from "../fake/clamd.ts";
import { startRealClamd, testSignatures } from "../live/clamd.ts";
import { freePort } from "../live/free-port.ts";
import { startRedis } from "../live/redis.ts";
import { closedTraffic } from "../load/traffic.ts";
import { eventually, processesWith } from "../supervise/stage.ts";
import { givenClamd } from "./given-clamd.ts";
import { type RelayFault, startRelay } from "./relay.ts";
import { type FaultStage, openFaultStage } from "./stage.ts";
import { testDatabase } from "./test-database.ts";

function traffic(stage: FaultStage, seconds: number): Promise<number> {
  const { rest, subjects, random } = stage;
  const popular = [subjects.infected(2_000), subjects.clean(2_000), subjects.infected(100_000), subjects.clean(100_000)];
  return closedTraffic({ workers: 8, seconds }, async () => {
    const fresh = () => (random.next() < 0.5 ? subjects.infected(1_000) : subjects.clean(1_000));
    await rest.raw(random.next() < 0.5 ? random.pick(popular) : fresh());
  });
}

describe("a Redis that keeps the verdicts", () => {
  test("and is late, silent, cut, killed, full or filled with garbage costs no request and makes no wrong verdict (F12)", async (context) => {
    await using redis = await startRedis();
    await using relay = await startRelay({ to: { host: redis.host, port: redis.port }, fault: () => ({ kind: "refuse" }) });
    await using stage = await openFaultStage({ env: { VERDICT_CACHE: `redis://127.0.0.1:${relay.port}` } });
    const { rest, subjects } = stage;
    const isRemembering = async (when: string) => {
      const one = subjects.infected(500);
      await eventually(`it remembers ${when}`, async () => (await rest.raw(one)).answer?.isCached === true);
    };
    const notes: string[] = [];
    const phase = async (name: string) => {
      const before = stage.account.totals();
      const perSecond = await traffic(stage, 1);
      const { errors, slowestMs } = stage.account.totals();
      notes.push(`${name} ${perSecond.toFixed(0)}/s`);
      assert.equal(errors, 0, name);
      assert.ok(slowestMs < 5_000, `${name}: ${slowestMs} ms (before: ${before.slowestMs})`);
    };
    await phase("not there at the start");
    relay.setFault(() => ({ kind: "none" }));
    await isRemembering("once it is there");
    await phase("as it should be");
    const faults: readonly (readonly [string, RelayFault])[] = [
      ["500 ms late", { kind: "late", ms: 500 }],
      ["silent", { kind: "silence" }],
      ["refused", { kind: "refuse" }],
      ["cut in the answer", { kind: "cut", way: "reply", afterBytes: 400, how: "reset" }],
      ["garbage", { kind: "rewrite", reply: () => Buffer.from("$5\r\nclean\r\n") }],
    ];
    for (const [name, fault] of faults) {
      relay.setFault(() => fault);
      relay.resetAll();
      await phase(name);
    }
    relay.setFault(() => ({ kind: "none" }));
    relay.resetAll();
    redis.freeze();
    await phase("hung");
    redis.thaw();
    await redis.kill();
    await phase("killed");
    await redis.restart();
    await phase("empty again");
    await isRemembering("after all that");
    await redis.command("REPLICAOF", "127.0.0.1", "1");
    await phase("a replica that takes no writes");
    await redis.command("REPLICAOF", "NO", "ONE");
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    await phase("out of memory");
    await redis.command("CONFIG", "SET", "maxmemory", "0");
    const keys = await redis.command("KEYS", "*");
    for (const key of Array.isArray(keys) ? keys : []) await redis.command("SET", String(key), '{"v":1,"verdict":"clean"}');
    await phase("filled with what we never wrote");
    for (const key of Array.isArray(keys) ? keys : []) {
      await redis.command("DEL", String(key));
      await redis.command("LPUSH", String(key), "clean");
    }
    await phase("of the wrong type");
    await isRemembering("at the end");
    context.diagnostic(notes.join(", "));
  });
});

describe("a freshclam that fails", { concurrency: true }, () => {
  const scripts: Readonly<Record<string, readonly [script: string, outcome: string]>> = {
    "is blocked (exit 17)": ["echo 'WARNING: Can not download from the server: 403'; exit 17", "blocked"],
    "exits with 0 while it cools down": [
      "echo 'WARNING: FreshClam previously received error code 429 or 403 from the ClamAV Content Delivery Network (CDN).'; echo 'WARNING: You are still on cool-down until after: 2037-01-01 00:00:00'; exit 0",
      "rate-limited",
    ],
    "fails its own test (exit 8)": ["echo 'ERROR: Database test FAILED.'; exit 8", "failed"],
    "is killed": ["kill -9 $$", "failed"],
    "cannot write (exit 10)": ["exit 10", "failed"],
  };
  for (const [what, [script, outcome]] of Object.entries(scripts)) {
    test(`${what}: ${outcome}, not ready, nothing clean; signatures that then come are loaded (F19)`, async () => {
      const directory = await mkdtemp(join(tmpdir(), "clamgate-freshclam-"));
      try {
        await writeFile(join(directory, "freshclam"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
        await using database = await emptyDatabase();
        await using gateway = await startFetching(directory, database.path);
        const metric = `clamgate_signature_checks_total{outcome="${outcome}"}`;
        await eventually(`a check is ${outcome}`, async () => (await gateway.metric(metric)) === 1);
        assert.equal((await fetch(`${gateway.url}/readyz`)).status, 503);
        assert.equal((await scan(gateway.url)).status, 503);
        for (const [name, text] of Object.entries(testSignatures)) await writeFile(join(database.path, name), text);
        await gateway.ready();
        assert.equal((await scan(gateway.url)).status, 200);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });
  }

  test("hangs, or writes a broken database: never ready by it, ended with the gateway (F19)", async () => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-freshclam-"));
    try {
      await using database = await emptyDatabase();
      const script = `#!/bin/sh\necho no database > '${database.path}/daily.cvd'\nexec tail -n 0 -f "$0"\n`;
      await writeFile(join(directory, "freshclam"), script, { mode: 0o755 });
      const isRunning = async () => (await processesWith(join(directory, "freshclam"))).length > 0;
      await using gateway = await startFetching(directory, database.path);
      await eventually("it runs", isRunning);
      assert.equal((await fetch(`${gateway.url}/readyz`)).status, 503);
      assert.equal((await scan(gateway.url)).status, 503);
      gateway.signal("SIGTERM");
      assert.equal(await gateway.ended, 0);
      assert.equal(await isRunning(), false);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe("a freshclam that does harm while a gateway serves", () => {
  test("by emptying the directory, or by leaving rubbish in it, ends no scan and changes no verdict (F19)", async () => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-freshclam-"));
    try {
      await using database = await testDatabase();
      const harm = `rm -f '${database.path}'/*\necho rubbish > '${database.path}/daily.cvd'\nexit 0\n`;
      await writeFile(join(directory, "freshclam"), `#!/bin/sh\n${harm}`, { mode: 0o755 });
      await using stage = await openFaultStage({ env: fetchingEnv(directory, database.path) });
      const rejected = () => stage.gateway.metric('clamgate_reloads_total{outcome="rejected"}');
      await eventually("its rubbish is refused", async () => {
        await traffic(stage, 0.2);
        return (await rejected()) >= 1;
      });
      await traffic(stage, 0.5);
      assert.equal((await fetch(`${stage.gateway.url}/readyz`)).status, 200);
      assert.equal(stage.account.totals().errors, 0);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

async function emptyDatabase() {
  const database = await testDatabase();
  for (const name of Object.keys(testSignatures)) await rm(join(database.path, name));
  return database;
}

/** Its freshclam is a script: nothing is asked of any server. */
function startFetching(programs: string, databaseDirectory: string) {
  return startGatewayProcess({ args: ["serve"], env: fetchingEnv(programs, databaseDirectory) });
}

function fetchingEnv(programs: string, databaseDirectory: string): Record<string, string> {
  return {
    PATH: `${programs}:${process.env.PATH}`,
    DATABASE_DIRECTORY: databaseDirectory,
    DATABASE_MIRROR: "http://127.0.0.1:1",
    SIGNATURE_CHECKS: "50",
    FIRST_FETCH_TIMEOUT: "1s",
    QUEUE_TIMEOUT: "500ms",
  };
}

function scan(url: string): Promise<Response> {
  return fetch(`${url}/scanHandlerBody`, { method: "POST", body: "a body" });
}

describe("a remote clamd", () => {
  test("that resets, is silent, late, cut or speaks something else is passed by: the other one serves (F20)", async (context) => {
    await using first = await startRealClamd({ listens: "tcp" });
    await using second = await startRealClamd({ listens: "tcp" });
    if (first.address.kind !== "tcp" || second.address.kind !== "tcp") throw new Error("not on TCP");
    await using relay = await startRelay({ to: first.address });
    const env = { ...givenClamd({ ports: [relay.port, second.address.port], slots: 2 }), SCAN_TIMEOUT: "20s" };
    await using stage = await openFaultStage({ env });
    const up = () => stage.gateway.metric('clamgate_backends{state="up"}');
    const banner = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    const faults: readonly (readonly [string, RelayFault])[] = [
      ["refused", { kind: "refuse" }],
      ["cut in the request", { kind: "cut", way: "request", afterBytes: 30, how: "reset" }],
      ["cut in the answer", { kind: "cut", way: "reply", afterBytes: 4, how: "end" }],
      ["another protocol", { kind: "rewrite", reply: () => Buffer.from(banner) }],
      ["TLS", { kind: "rewrite", reply: () => Buffer.from([0x15, 3, 1, 0, 2, 2, 0x46]) }],
      ["COMMAND UNAVAILABLE", { kind: "rewrite", reply: () => Buffer.from("COMMAND UNAVAILABLE\0") }],
      ["200 ms late", { kind: "late", ms: 200 }],
    ];
    for (const [name, fault] of faults) {
      relay.setFault(() => fault);
      await traffic(stage, 1);
      if (fault.kind !== "late") await eventually(`${name}: it is down`, async () => (await up()) === 1);
      relay.setFault(() => ({ kind: "none" }));
      await eventually(`${name}: it is up again`, async () => (await up()) === 2);
    }
    const { errors, verdicts } = stage.account.totals();
    context.diagnostic(`${verdicts} verdicts, ${errors} errors`);
    assert.equal(errors, 0);
  });

  test("that falls silent is down after one proof; what it held is answered at its time (F20)", async () => {
    await using first = await startRealClamd({ listens: "tcp" });
    await using second = await startRealClamd({ listens: "tcp" });
    if (first.address.kind !== "tcp" || second.address.kind !== "tcp") throw new Error("not on TCP");
    await using relay = await startRelay({ to: first.address });
    const env = { ...givenClamd({ ports: [relay.port, second.address.port], slots: 2 }), SCAN_TIMEOUT: "1s" };
    await using stage = await openFaultStage({ env });
    relay.setFault(() => ({ kind: "silence" }));
    await traffic(stage, 6);
    assert.equal(await stage.gateway.metric('clamgate_backends{state="up"}'), 1);
    const { statuses } = stage.account.totals();
    assert.deepEqual(
      Object.keys(statuses).filter((status) => !["200", "406", "503"].includes(status)),
      [],
    );
    assert.ok((statuses["503"] ?? 0) <= 8, JSON.stringify(statuses));
    relay.setFault(() => ({ kind: "none" }));
    relay.resetAll();
    await eventually("it is up again", async () => (await stage.gateway.metric('clamgate_backends{state="up"}')) === 2);
  });

  test("with older signatures never has its OK taken for that of the newer ones (F20)", async () => {
    const version = (number: number) => `ClamAV 1.4.6/${number}/Thu Nov 20 10:13:12 2025`;
    const slowly = async () => {
      await delay(10); // so that the other one gets a body meanwhile
      return clean;
    };
    await using old = await startFakeClamd({ version: () => version(27000), scan: slowly });
    await using current = await startFakeClamd({ version: () => version(27001), scan: () => found("Known.Since.27001") });
    await using stage = await openFaultStage({ env: givenClamd({ ports: [old.address.port, current.address.port], slots: 1 }) });
    const ask = async (text: string) => {
      const { answer } = await stage.rest.send([], { path: "/scanHandlerBody", body: Buffer.from(text) });
      if (answer?.isCached) assert.equal(answer.status, 406, "remembered under the newer signatures");
      return answer?.isCached === true;
    };
    let others = 0;
    for (let body = 0; body < 10; body += 1) {
      await eventually("the newer one has judged it, and nobody is asked again", async () => {
        others += 1;
        const [, isRemembered] = await Promise.all([ask(`another ${others}`), ask(`body ${body}`)]);
        return isRemembered;
      });
    }
    assert.ok(old.bodies.length > 0, "the older one was asked, too");
    assert.match(await (await fetch(`${stage.gateway.url}/version`)).text(), /27001/);
  });

  test("that is a black hole, and one where nobody listens, cost no request anything (F20)", async (context) => {
    await using deaf = await startDeafListener();
    await using clamd = await startRealClamd({ listens: "tcp" });
    if (clamd.address.kind !== "tcp" || deaf.address.kind !== "tcp") throw new Error("not on TCP");
    await using stage = await openFaultStage({
      env: givenClamd({ ports: [deaf.address.port, await freePort(), clamd.address.port], slots: 2 }),
    });
    await traffic(stage, 4);
    assert.equal(await stage.gateway.metric('clamgate_backends{state="up"}'), 1);
    const { errors, verdicts, slowestMs } = stage.account.totals();
    context.diagnostic(`${verdicts} verdicts, the slowest after ${slowestMs.toFixed(0)} ms`);
    assert.equal(errors, 0);
  });
});

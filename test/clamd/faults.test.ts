/** clamd servers that are lost, full, slow, deaf, skewed or no clamd at all, behind a pool with real connections. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { type ClamdAddress, type Dial, dialClamd } from "../../src/clamd/connection.ts";
import { type Act, answer, clean, type FakeClamdOptions, found, stall, startFakeClamd } from "../fake/clamd.ts";
import { fakeBody } from "../fake/spooled-body.ts";
import { eventually } from "../process/stage.ts";
import { startDeafListener } from "./deaf-listener.ts";
import { openPool, type PoolStageOptions, quickTiming } from "./stage.ts";

describe("a backend", () => {
  const sick: Readonly<Record<string, readonly [FakeClamdOptions, RegExp]>> = {
    "does not detect the canary": [{ canary: () => clean }, /the canary was not detected: the answer was clean/],
    "calls the canary unscannable": [
      { canary: () => found("Heuristics.Limits.Exceeded.MaxScanTime") },
      /the canary was not detected: the answer was unscannable/,
    ],
    "answers the canary with an error": [
      { canary: () => answer("stream: Can't allocate memory ERROR\0") },
      /Can't allocate memory/,
    ],
    "closes on the canary": [{ canary: () => answer() }, /closed without a reply/],
    "resets on the canary": [{ canary: () => ({ kind: "reset", pieces: [] }) }, /ECONNRESET/],
    "is a web server": [{ canary: () => answer("HTTP/1.1 400 Bad Request\r\n\r\n") }, /HTTP\/1\.1 400/],
    "has lost its engine": [{ version: () => "ClamAV 1.4.6/4294967295/Thu Jan  1 00:00:00 1970" }, /VERSION/],
    "answers VERSION with garbage": [{ version: () => "HTTP/1.1 400 Bad Request" }, /VERSION/],
    "keeps VERSION to itself": [{ version: () => "COMMAND UNAVAILABLE" }, /VERSION/],
    "closes on VERSION": [{ version: () => answer() }, /VERSION/],
    "never answers anything": [{ canary: () => stall, version: () => stall }, /no answer within \d+ ms/],
    "never answers the canary": [{ canary: () => stall }, /every thread is busy/],
    "never answers VERSION": [{ version: () => stall }, /no whole answer within \d+ ms|every thread is busy/],
  };
  for (const [what, [options, reason]] of Object.entries(sick)) {
    test(`that ${what} is down, says why, and gets no body`, async () => {
      await using fake = await startFakeClamd(options);
      await using stage = await open([fake], {
        backend: { scanTimeoutMs: 300, timing: { ...quickTiming, proofTimeoutMs: 100 } },
      });
      assert.deepEqual(stage.pool.version(), null);
      await assert.rejects(stage.scan("a body"), { code: "engine-unavailable" });
      assert.deepEqual(fake.bodies, []);
      await eventually("it is told", () => stage.events.some(({ kind }) => kind === "backend-down"));
      const event = stage.events.find(({ kind }) => kind === "backend-down");
      assert.match(event?.kind === "backend-down" ? event.reason : "", reason);
    });
  }

  test("that is not there, or does not accept, is down, and the others serve", async () => {
    await using gone = await startFakeClamd();
    await gone.kill();
    await using deaf = await startDeafListener();
    await using fake = await startFakeClamd();
    const timing = { ...quickTiming, proofTimeoutMs: 200 };
    await using stage = await open([gone, deaf, fake], { backend: { timing } });
    assert.equal((await stage.scan("a body")).backend, "clamd-2");
    await eventually("both are told", () => stage.events.filter(({ kind }) => kind === "backend-down").length === 2);
    const reasons = stage.events.map((event) => (event.kind === "backend-down" ? event.reason : ""));
    assert.match(reasons.join(), /ECONNREFUSED/);
    assert.match(reasons.join(), /no answer within \d+ ms/);
  });

  test("is tried again with a pause, not in a loop", async () => {
    await using gone = await startFakeClamd();
    await gone.kill();
    let dials = 0;
    const dial: Dial = (address) => {
      dials += 1;
      return dialClamd(address);
    };
    await using stage = await open([gone], { backend: { timing: { ...quickTiming, proofRetryMs: 50 }, dial } });
    const before = dials;
    await new Promise((resolve) => setTimeout(resolve, 200));
    // Two connections for each proof.
    assert.equal(dials > before && dials - before <= 10, true, `${dials - before} connections`);
    assert.equal(stage.events.length, 1);
  });

  test("whose scans cannot connect, though its proofs can, is tried again with a pause, too", async () => {
    // Each scan has a connection of its own.
    await using fake = await startFakeClamd({ sessions: "unknown" });
    await using gone = await startFakeClamd();
    await gone.kill();
    let isScan = false;
    let scans = 0;
    const dial: Dial = () => dialClamd(isScan ? gone.address : fake.address);
    // So long an interval shows that going down wakes the watch.
    const timing = { ...quickTiming, proofRetryMs: 50, proofIntervalMs: 60_000 };
    await using stage = await open([], { queueTimeoutMs: 300, backend: { dial, timing } });
    const backend = stage.addBackend(fake.address, (made) => ({
      ...made,
      scan(body) {
        scans += 1;
        isScan = true;
        const outcome = made.scan(body);
        isScan = false;
        return outcome;
      },
    }));
    assert.equal(await backend.prove(), true);
    await assert.rejects(stage.scan("a"), { name: "ClamgateError" });
    assert.equal(scans > 1 && scans <= 8, true, `${scans} scans`);
  });

  test("that comes back is used again", async () => {
    await using first = await startFakeClamd();
    await using stage = await open([first]);
    await stage.scan("a");
    await first.kill();
    await stage.isUp(0);
    await using second = await startFakeClamd({ port: first.address.port });
    await stage.isUp(1);
    await stage.scan("b");
    assert.equal(second.bodies.length, 1);
    assert.deepEqual(
      stage.events.map(({ kind }) => kind),
      ["backend-up", "backend-down", "backend-up"],
    );
  });

  test("with all its threads at work is busy and not dead, for as long as a scan may take", async () => {
    let isBusy = false;
    await using fake = await startFakeClamd({ canary: () => (isBusy ? stall : found("Eicar")) });
    const timing = { ...quickTiming, proofTimeoutMs: 50 };
    await using stage = await open([fake], { backend: { scanTimeoutMs: 500, timing } });
    isBusy = true;
    await eventually("it is busy", () => stage.backends[0]?.isBusy() === true);
    const waiting = stage.scan("served afterwards");
    assert.equal(stage.backends[0]?.isUp(), true);
    assert.deepEqual(fake.bodies, [], "it is given no more meanwhile");
    await stage.isUp(0);
    isBusy = false;
    await stage.isUp(1);
    assert.equal((await waiting).verdict.kind, "clean");
    assert.equal(stage.backends[0]?.isBusy(), false);
  });

  test("that answers the canary late, though alive, is busy until then, and asked for no second one", async () => {
    const late = Promise.withResolvers<Act>();
    let isLate = false;
    let canaries = 0;
    const canary = (): Act | Promise<Act> => {
      canaries += 1;
      return isLate ? late.promise : found("Eicar");
    };
    await using fake = await startFakeClamd({ canary });
    await using stage = await open([fake], { backend: { timing: { ...quickTiming, proofTimeoutMs: 50 } } });
    isLate = true;
    await eventually("it is busy", () => stage.backends[0]?.isBusy() === true);
    const before = canaries;
    for (let proofs = 0; proofs < 4; proofs += 1) assert.equal(await stage.backends[0]?.prove(), false);
    assert.equal(canaries, before);
    assert.equal(stage.backends[0]?.isUp(), true);
    isLate = false;
    late.resolve(found("Eicar"));
    await eventually("it is not busy", () => stage.backends[0]?.isBusy() === false);
    const kinds = stage.events.map(({ kind }) => kind);
    assert.deepEqual([kinds.includes("notice"), kinds.includes("backend-down")], [true, false]);
  });

  test("that answers nothing but its scans, as one whose MaxQueue is full, is busy and not dead", async () => {
    let isFull = false;
    const full = () => (isFull ? stall : found("Eicar"));
    const version = () => (isFull ? stall : "ClamAV 1.4.6/1/x");
    await using fake = await startFakeClamd({ canary: full, version, scan: () => later(150) });
    await using stage = await open([fake], { backend: { slots: () => 4, timing: { ...quickTiming, proofTimeoutMs: 100 } } });
    isFull = true;
    const scans = [stage.scan("0"), later(70).then(() => stage.scan("1"))];
    await eventually("it is busy", () => stage.backends[0]?.isBusy() === true);
    assert.equal(stage.backends[0]?.isUp(), true);
    await Promise.all(scans);
    assert.equal(stage.backends[0]?.isUp(), true);
  });

  test("that goes silent altogether is down soon", async () => {
    let isSilent = false;
    const silent = () => (isSilent ? stall : found("Eicar"));
    const version = () => (isSilent ? stall : "ClamAV 1.4.6/1/x");
    await using fake = await startFakeClamd({ canary: silent, version });
    await using stage = await open([fake], { backend: { timing: { ...quickTiming, proofTimeoutMs: 50 } } });
    isSilent = true;
    await stage.isUp(0);
    isSilent = false;
    await stage.isUp(1);
  });

  test("is never given more bodies at once than its slots", async () => {
    const fakes = await Promise.all([1, 2].map(() => startFakeClamd({ scan: () => later(2) })));
    await using _first = fakes[0];
    await using _second = fakes[1];
    await using stage = await open(fakes, { backend: { slots: () => 3 } });
    const scans = await Promise.all(Array.from({ length: 100 }, (_, index) => stage.scan(`${index}`)));
    assert.equal(scans.length, 100);
    assert.deepEqual(
      fakes.map((fake) => fake.mostAtOnce()),
      [3, 3],
    );
    assert.equal(
      fakes.reduce((sum, fake) => sum + fake.bodies.length, 0),
      100,
    );
  });

  test("is given one more at once where it has a spare slot, if that is small", async () => {
    for (const [bytes, atOnce] of [
      [65_536, 3],
      [65_537, 2],
    ] as const) {
      await using fake = await startFakeClamd({ scan: () => later(2) });
      await using stage = await open([fake], { backend: { slots: () => 2, hasSpareSlot: true } });
      await Promise.all(Array.from({ length: 20 }, (_, index) => stage.scan(`${index}`.padEnd(bytes))));
      assert.equal(fake.mostAtOnce(), atOnce);
    }
  });

  test("is not blamed for a body that cannot be read, and never sees the end of it", async () => {
    await using fake = await startFakeClamd();
    await using stage = await open([fake]);
    const error = new Error("the disk is gone");
    const body = fakeBody({ size: 3000, read: [Buffer.alloc(1000)], error });
    await assert.rejects(stage.pool.scan(body, new AbortController().signal, "a client"), (thrown) => thrown === error);
    assert.equal(body.holders(), 1);
    assert.deepEqual(fake.bodies, []);
    assert.equal(stage.backends[0]?.isUp(), true);
    assert.equal(stage.backends[0]?.inFlight(), 0);
  });

  test("keeps its slots when it is given a body that is already gone", async () => {
    await using fake = await startFakeClamd();
    await using stage = await open([fake], { backend: { slots: () => 1 } });
    const body = await stage.body("gone");
    await body[Symbol.asyncDispose]();
    for (let times = 0; times < 3; times += 1) {
      await assert.rejects(stage.pool.scan(body, new AbortController().signal, "a client"), { code: "internal" });
    }
    assert.equal((await stage.scan("another")).verdict.kind, "clean");
  });
});

describe("a scan", () => {
  test("goes to another backend exactly once when one is lost, with the same bytes", async () => {
    await using crashing = await startFakeClamd({ scan: () => answer() });
    await using sound = await startFakeClamd({ scan: () => found("X") });
    await using stage = await open([crashing, sound]);
    const bytes = randomBytes(300_000);
    const { verdict, backend } = await stage.scan(bytes);
    assert.deepEqual([verdict, backend], [{ kind: "infected", signatures: ["X"] }, "clamd-1"]);
    assert.deepEqual([crashing.bodies, sound.bodies], [[bytes], [bytes]]);
  });

  test("is given up when two were lost, and one twice with nothing else to do, however many there are", async () => {
    const fakes = await Promise.all([1, 2, 3, 4].map(() => startFakeClamd({ scan: () => answer() })));
    try {
      await using stage = await open(fakes);
      await assert.rejects(stage.scan("poison"), { code: "engine-killed" });
      assert.equal(
        fakes.reduce((sum, { bodies }) => sum + bodies.length, 0),
        4,
      );
    } finally {
      await Promise.all(fakes.map((fake) => fake.kill()));
    }
  });

  test("that a frozen backend holds is done by another at its first silent proof, and costs nobody blame", async () => {
    let isFrozen = false;
    const frozen = () => (isFrozen ? stall : found("Eicar"));
    const scan = () => (isFrozen ? stall : clean);
    await using one = await startFakeClamd({ canary: frozen, version: () => (isFrozen ? stall : "ClamAV 1.4.6/1/x"), scan });
    await using other = await startFakeClamd({ version: () => "ClamAV 1.4.6/1/x" });
    const timing = { ...quickTiming, proofTimeoutMs: 200 };
    await using stage = await open([one, other], { backend: { slots: () => 4, scanTimeoutMs: 60_000, timing } });
    isFrozen = true;
    const scans = await Promise.all(Array.from({ length: 8 }, (_, index) => stage.scan(`${index}`)));
    assert.deepEqual(new Set(scans.map(({ backend }) => backend)), new Set(["clamd-1"]));
    assert.equal(stage.backends[0]?.inFlight(), 0);
    assert.ok(one.bodies.length > 0);
  });

  test("that a frozen backend holds alone is an error at its time, and that of the engine", async () => {
    let isFrozen = false;
    const frozen = () => (isFrozen ? stall : found("Eicar"));
    const version = () => (isFrozen ? stall : "ClamAV 1.4.6/1/x");
    await using fake = await startFakeClamd({ canary: frozen, version, scan: () => (isFrozen ? stall : clean) });
    const timing = { ...quickTiming, proofTimeoutMs: 50, abandonAfterMs: 600 };
    await using stage = await open([fake], { backend: { scanTimeoutMs: 300, timing } });
    isFrozen = true;
    await assert.rejects(stage.scan("held"), { code: "backend-lost" });
    isFrozen = false;
    await stage.isUp();
    assert.equal((await stage.scan("held")).verdict.kind, "clean");
  });

  test("is timed out by the engine's fault, too, where that was silent for a part of the time", async () => {
    let isFrozen = false;
    const frozen = () => (isFrozen ? stall : found("Eicar"));
    const version = () => (isFrozen ? stall : "ClamAV 1.4.6/1/x");
    await using fake = await startFakeClamd({ canary: frozen, version, scan: () => stall });
    const timing = { ...quickTiming, proofTimeoutMs: 50, abandonAfterMs: 1_000 };
    await using stage = await open([fake], { backend: { scanTimeoutMs: 500, timing } });
    const held = assert.rejects(stage.scan("held"), { code: "backend-lost" });
    isFrozen = true;
    await stage.isUp(0);
    isFrozen = false;
    await stage.isUp(1);
    await held;
  });

  test("waits for the only backend to come back", async () => {
    await using first = await startFakeClamd({ scan: () => stall });
    await using stage = await open([first]);
    const running = stage.scan("a");
    await first.received(1);
    await first.kill();
    await stage.isUp(0);
    await using _second = await startFakeClamd({ port: first.address.port });
    assert.deepEqual((await running).verdict, { kind: "clean" });
  });

  test("of many gets its own right verdict though backends die under them", async () => {
    const verdict = async (body: Buffer): Promise<Act> => {
      await turn();
      return body.includes("bad") ? found("X") : clean;
    };
    await using steady = await startFakeClamd({ scan: verdict });
    await using dying = await startFakeClamd({ scan: async (body) => verdict(body) });
    await using stage = await open([steady, dying], { backend: { slots: () => 4 } });
    const scans = Array.from({ length: 200 }, (_, index) => stage.scan(`${index % 2 === 0 ? "good" : "bad"} ${index}`));
    await dying.received(20);
    await dying.kill();
    for (const [index, { verdict }] of (await Promise.all(scans)).entries()) {
      assert.equal(verdict.kind, index % 2 === 0 ? "clean" : "infected");
    }
  });

  test("that takes too long is an error; its slot stays taken until clamd answers", async () => {
    const end = Promise.withResolvers<Act>();
    await using fake = await startFakeClamd({ scan: (body) => (body.includes("slow") ? end.promise : clean) });
    await using stage = await open([fake], { backend: { slots: () => 1, scanTimeoutMs: 100 }, queueTimeoutMs: 200 });
    await assert.rejects(stage.scan("slow"), { code: "scan-timeout" });
    const { isUp, inFlight, overdue } = stage.pool.status().backends[0] ?? {};
    assert.deepEqual([isUp, inFlight, overdue], [true, 1, 1]);
    assert.equal(stage.spool.usage().bodies, 1, "clamd may still be reading it");
    await assert.rejects(stage.scan("next"), { code: "queue-timeout" });
    assert.equal(fake.bodies.length, 1);
    end.resolve(clean);
    await eventually("the slot is free", () => stage.backends[0]?.inFlight() === 0);
    assert.equal(stage.backends[0]?.overdue(), 0);
    assert.equal((await stage.scan("next")).verdict.kind, "clean");
  });

  test("that never ends gives its slot back at last", async () => {
    await using fake = await startFakeClamd({ scan: (body) => (body.includes("endless") ? stall : clean) });
    const timing = { ...quickTiming, abandonAfterMs: 200 };
    await using stage = await open([fake], { backend: { slots: () => 1, scanTimeoutMs: 50, timing } });
    await assert.rejects(stage.scan("endless"), { code: "scan-timeout" });
    assert.equal((await stage.scan("next")).verdict.kind, "clean");
  });

  test("is not believed to be clean when it took as long as clamd's own limit", async () => {
    await using fake = await startFakeClamd({
      scan: async (body) => {
        const act = await later(60);
        return body.includes("bad") ? found("X") : act;
      },
    });
    await using stage = await open([fake], { backend: { maxScanTimeMs: 50 } });
    assert.deepEqual((await stage.scan("good")).verdict, { kind: "unscannable", reason: "limit-time", heuristic: null });
    assert.equal((await stage.scan("bad")).verdict.kind, "infected");
  });

  test("during which the signatures changed is not to be remembered", async () => {
    let database = 1;
    const end = Promise.withResolvers<Act>();
    await using fake = await startFakeClamd({
      version: () => `ClamAV 1.4.6/${database}/x`,
      scan: (body) => (body.includes("long") ? end.promise : clean),
    });
    await using stage = await open([fake]);
    const before = stage.pool.version();
    const running = stage.scan("long");
    await fake.received(1);
    database = 2;
    await eventually("the new version is known", () => stage.pool.version()?.database === 2);
    end.resolve(clean);
    const { version, isCacheable } = await running;
    assert.deepEqual([version, isCacheable], [before, false]);
    const next = await stage.scan("short");
    assert.deepEqual([next.version.database, next.isCacheable], [2, true]);
  });

  test("is of no known signatures from their change to the first proof that began after it", async () => {
    let database = 1;
    let canary: Act | Promise<Act> = found("Eicar-Signature");
    await using fake = await startFakeClamd({ version: () => `ClamAV 1.4.6/${database}/x`, canary: () => canary });
    await using stage = await open([fake], { backend: { timing: { ...quickTiming, proofIntervalMs: 60_000 } } });
    const [backend] = stage.backends;
    const before = stage.pool.version();
    const held = Promise.withResolvers<Act>();
    canary = held.promise;
    const asked = backend?.prove();
    const renewed = backend?.renew();
    assert.notEqual(stage.pool.version()?.tag, before?.tag);
    const meanwhile = await stage.scan("a body");
    assert.deepEqual([meanwhile.verdict.kind, meanwhile.isCacheable], ["clean", false]);
    assert.notEqual(meanwhile.version.tag, before?.tag);
    database = 2;
    canary = found("Eicar-Signature");
    held.resolve(canary);
    assert.deepEqual(await Promise.all([asked, renewed]), [true, true]);
    assert.equal(stage.pool.version()?.database, 2);
    assert.equal((await stage.scan("a body")).isCacheable, true);
  });

  test("on skewed backends is made by the newest that is up, and under its version", async () => {
    const versions = ["ClamAV 1.4.6/7/x", "ClamAV 1.4.6/8/x", "ClamAV 1.5.3/7/x"];
    const fakes = await Promise.all(versions.map((version) => startFakeClamd({ version: () => version })));
    try {
      await using stage = await open(fakes, { backend: { slots: () => 1 } });
      const tags = new Set<string>();
      for (const newest of [1, 2, 0]) {
        const scans = await Promise.all(["a", "b", "c"].map((text) => stage.scan(`${text}${newest}`)));
        for (const { backend, version } of scans) {
          assert.equal(backend, `clamd-${newest}`);
          assert.equal(`ClamAV ${version.engine}/${version.database}/x`, versions[newest]);
          assert.equal(version.tag, stage.pool.version()?.tag);
          tags.add(version.tag);
        }
        if (newest === 0) break;
        const left = stage.pool.status().backends.filter(({ isUp }) => isUp).length - 1;
        await fakes[newest]?.kill();
        await stage.isUp(left);
      }
      assert.equal(tags.size, 3);
    } finally {
      await Promise.all(fakes.map((fake) => fake.kill()));
    }
  });

  test("that is cut by the pool's end leaves nothing behind and says why", async () => {
    await using fake = await startFakeClamd({ scan: () => stall });
    await using stage = await open([fake]);
    const scans = ["a", "b", "c"].map((text) => assert.rejects(stage.scan(text), { code: "stopping" }));
    await fake.received(2);
    stage.pool.close();
    await Promise.all(scans);
    assert.equal(
      stage.events.some(({ kind }) => kind === "backend-down"),
      false,
    );
  });
});

function open(servers: readonly { readonly address: ClamdAddress }[], options: Omit<PoolStageOptions, "addresses"> = {}) {
  return openPool({ addresses: servers.map(({ address }) => address), ...options });
}

async function later(ms: number): Promise<Act> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return clean;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

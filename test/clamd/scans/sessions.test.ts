/** Sessions with a clamd: kept from scan to scan, never shared, given up at anything unexpected, and done without where it knows none. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Act, answer, clean, type FakeClamd, type FakeClamdOptions, found, startFakeClamd } from "../../fake/clamd.ts";
import { mebibyte } from "../../live/clamd.ts";
import { eventually } from "../../process/stage.ts";
import { openPool, type PoolStage, type PoolStageOptions, quickTiming } from "../stage.ts";

/** No proof uses a session but the first one. */
const oneProof = { ...quickTiming, proofIntervalMs: 60_000 };
/** As long as nothing cuts what is silent: a session that ends then is one that clamd has lost. */
const restMs = 300;

describe("sessions", { concurrency: true }, () => {
  test("are kept from scan to scan, for bodies from memory, from files and by their paths", async () => {
    for (const sharesSpool of [false, true]) {
      await using stage = await open({}, { backend: { sharesSpool, timing: oneProof } });
      const { fake } = stage;
      const before = fake.sessions().begun;
      for (let index = 0; index < 20; index += 1) {
        const size = [0, 100, 40_000, mebibyte][index % 4] ?? 0;
        assert.equal((await stage.scan(randomBytes(size))).verdict.kind, "clean");
      }
      assert.deepEqual(fake.sessions(), { begun: before, scans: 20 });
      assert.equal(fake.commands.filter((name) => name.startsWith("SCAN ")).length, sharesSpool ? 5 : 0);
    }
  });

  test("are one for each slot that is in use, each with one body at a time", async () => {
    const ends = [0, 1, 2].map(() => Promise.withResolvers<Act>());
    const numbers: (number | null)[] = [];
    const scan = (body: Buffer, number: number | null) => {
      numbers.push(number);
      return ends[Number(body.toString())]?.promise ?? clean;
    };
    await using stage = await open({ scan }, { backend: { slots: () => 3, timing: oneProof } });
    const { fake } = stage;
    const first = fake.sessions().begun;
    const scans = ["0", "1", "2"].map((text) => stage.scan(text));
    await fake.received(3);
    assert.equal(fake.sessions().begun, first + 2);
    // Answered out of turn, each is the answer to its own body.
    ends[2]?.resolve(found("Two"));
    assert.deepEqual((await scans[2])?.verdict, { kind: "infected", signatures: ["Two"] });
    ends[0]?.resolve(found("Zero"));
    ends[1]?.resolve(clean);
    assert.deepEqual((await scans[0])?.verdict, { kind: "infected", signatures: ["Zero"] });
    assert.deepEqual((await scans[1])?.verdict, { kind: "clean" });
    await Promise.all(Array.from({ length: 30 }, (_, index) => stage.scan(`body ${index}`)));
    assert.equal(fake.sessions().begun, first + 2);
    assert.equal(fake.mostAtOnce(), 3);
    assert.equal(numbers.includes(null), false);
  });

  test("are closed when nobody has used them for a while, and then opened again", async () => {
    await using stage = await open({}, { backend: { slots: () => 4, timing: oneProof } });
    const { fake } = stage;
    await Promise.all(["a", "b", "c", "d"].map((text) => stage.scan(text)));
    assert.ok(fake.open() >= 1);
    await eventually("all are closed", () => fake.open() === 0 && stage.openSockets() === 0);
    assert.equal((await stage.scan("a")).verdict.kind, "clean");
    assert.deepEqual(downs(stage), []);
  });

  test("are not used any more after a second answer, whenever it comes, and no other body gets it", async () => {
    await using stage = await open(
      { scan: (body) => (body.includes("evil") ? found("X") : clean) },
      { backend: { timing: oneProof } },
    );
    const { fake } = stage;
    for (let round = 0; round < 5; round += 1) {
      await using evil = await stage.body(`evil ${round}`);
      assert.equal((await stage.scan(`good ${round}`)).verdict.kind, "clean");
      const { begun } = fake.sessions();
      // To commands that were answered, that are asked in this moment, and that come next.
      for (let number = 1; number < 40; number += 1) fake.interrupt(`${number}: stream: OK\0`, "goes on");
      // Nothing of it has been read yet when the body goes into the same session.
      const { verdict } = await stage.pool.scan(evil, new AbortController().signal, "a client");
      assert.equal(verdict.kind, "infected");
      assert.ok(fake.sessions().begun > begun);
    }
  });

  test("of which one is ended by a middle box, or by clamd, while it rests, cost nothing", async () => {
    for (const words of ["", "COMMAND READ TIMED OUT\n"]) {
      await using stage = await open({}, { backend: { slots: () => 1, timing: oneProof } });
      const { fake } = stage;
      for (let round = 0; round < 3; round += 1) {
        await using body = await stage.body(`body ${round}`);
        await delay(restMs);
        fake.interrupt(words);
        // The body is on its way into a session whose end has not been read yet.
        const { verdict } = await stage.pool.scan(body, new AbortController().signal, "a client");
        assert.equal(verdict.kind, "clean");
        assert.equal((await stage.scan("the next one")).verdict.kind, "clean");
      }
      assert.equal(fake.bodies.length, 6);
      assert.deepEqual(downs(stage), []);
    }
  });

  test("that clamd ends in a scan for its ReadTimeout cost that scan a second try, and no more", async () => {
    let scans = 0;
    const scan = (_body: Buffer, number: number | null): Act => {
      scans += 1;
      return number === null ? clean : { kind: "close", pieces: [Buffer.from("COMMAND READ TIMED OUT\n")] };
    };
    await using stage = await open({ scan });
    assert.equal((await stage.scan("a body")).verdict.kind, "clean");
    assert.equal(scans, 2);
    assert.deepEqual(downs(stage), []);
  });

  test("that end without a word right after another scan are a lost engine, for one body", async () => {
    let isDead = false;
    await using stage = await open({ scan: () => (isDead ? answer() : clean) }, { backend: { timing: oneProof } });
    const [backend] = stage.backends;
    await stage.scan("a");
    await using body = await stage.body("b");
    isDead = true;
    const outcome = await backend?.scan(body);
    assert.deepEqual(outcome, { kind: "lost", reason: "closed without a reply" });
    assert.equal(downs(stage).length, 1);
    isDead = false;
    await stage.isUp();
    assert.equal((await stage.scan("a")).verdict.kind, "clean");
  });

  test("that clamd dies in after a rest are a lost engine, too, and the body is not sent to it once more", async () => {
    let isDeadly = false;
    await using stage = await open({ scan: () => (isDeadly ? answer() : clean) }, { backend: { timing: oneProof } });
    await using body = await stage.body("b");
    await stage.scan("a");
    isDeadly = true;
    await delay(restMs);
    assert.deepEqual(await stage.backends[0]?.scan(body), { kind: "lost", reason: "closed without a reply" });
    assert.equal(stage.fake.bodies.length, 2);
  });

  test("whose clamd is killed while they rest have not seen the body", async () => {
    await using stage = await open({}, { backend: { timing: oneProof } });
    await using body = await stage.body("b");
    await delay(restMs);
    const killed = stage.fake.kill();
    assert.equal((await stage.backends[0]?.scan(body))?.kind, "unreached");
    await killed;
  });

  test("that end after a whole answer have given it", async () => {
    for (const kind of ["close", "reset"] as const) {
      await using stage = await open(
        { scan: () => ({ kind, pieces: ["stream: X FOUND\0"] }) },
        { backend: { timing: oneProof } },
      );
      for (let body = 0; body < 5; body += 1) assert.equal((await stage.scan(`${body}`)).verdict.kind, "infected");
    }
  });

  test("are told their end where a scan takes long, so that clamd does not wait for more and give it up", async () => {
    const end = Promise.withResolvers<Act>();
    await using stage = await open({ scan: (body) => (body.includes("long") ? end.promise : clean) });
    const { fake } = stage;
    const scanned = stage.scan("long");
    await eventually("the end is told", () => fake.commands.includes("END"));
    end.resolve(found("X"));
    assert.equal((await scanned).verdict.kind, "infected");
    assert.equal((await stage.scan("short")).verdict.kind, "clean");
    assert.deepEqual(downs(stage), []);
  });

  test("are asked for anew when clamd has been away", async () => {
    await using stage = await open({}, { backend: { slots: () => 1 } });
    await stage.scan("a");
    await stage.fake.kill();
    await stage.isUp(0);
    await using again = await startFakeClamd({ port: stage.fake.address.port });
    await stage.isUp(1);
    assert.equal((await stage.scan("b")).verdict.kind, "clean");
    assert.equal(again.sessions().scans, 1);
  });

  for (const sessions of ["unknown", "short"] as const) {
    test(`are done without where a clamd ${sessions === "short" ? "ends them after an answer" : "knows none"}, which is told once`, async () => {
      await using stage = await open({ sessions }, { backend: { slots: () => 3 } });
      for (let body = 0; body < 5; body += 1) {
        await Promise.all(["a", "b", "c"].map((text) => stage.scan(`${text}${body}`)));
      }
      assert.equal(stage.fake.sessions().scans, 0);
      assert.equal(stage.fake.bodies.length, 15);
      assert.deepEqual(downs(stage), []);
      await stage.fake.kill();
      await stage.isUp(0);
      await using again = await startFakeClamd({ sessions, port: stage.fake.address.port });
      await stage.isUp(1);
      await stage.scan("d");
      assert.equal(again.sessions().scans, 0);
      const told = stage.events.filter((event) => event.kind === "notice" && /keeps no sessions/.test(event.message));
      assert.equal(told.length, 1);
    });
  }
});

interface SessionStage extends PoolStage {
  readonly fake: FakeClamd;
}

async function open(options: FakeClamdOptions = {}, stageOptions: Partial<PoolStageOptions> = {}): Promise<SessionStage> {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeClamd(options));
  const stage = stack.use(await openPool({ addresses: [fake.address], ...stageOptions }));
  const all = stack.move();
  return { ...stage, fake, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

function downs(stage: PoolStage): readonly string[] {
  return stage.events.flatMap((event) => (event.kind === "backend-down" ? [event.reason] : []));
}

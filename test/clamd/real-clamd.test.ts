/** A pool over real clamd servers that are killed, reloaded and run into their limits. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { eicarCanary } from "../../src/clamd/proof.ts";
import { bodySignature, marker, mebibyte, startRealClamd } from "../live/clamd.ts";
import { eventually } from "../process/stage.ts";
import { openPool, quickTiming } from "./stage.ts";

describe("a pool over a real clamd", () => {
  test("gives every body its right verdict though clamd is killed under them, once it is back", async () => {
    await using clamd = await startRealClamd();
    await using stage = await openPool({
      addresses: [clamd.address],
      queueTimeoutMs: 30_000,
      backend: { slots: () => clamd.slots },
    });
    const bodies = Array.from({ length: 60 }, (_, index) => {
      const bytes = randomBytes(index % 3 === 0 ? 1000 : 600_000);
      if (index % 2 === 1) bytes.write(marker, 500);
      return bytes;
    });
    let answered = 0;
    const scans = bodies.map(async (bytes) => {
      const { verdict } = await stage.scan(bytes);
      answered += 1;
      return verdict.kind;
    });
    const all = Promise.allSettled(scans);
    await eventually("some are answered", () => answered > 5);
    await clamd.kill();
    await stage.isUp(0);
    await clamd.start();
    const outcomes = await all;
    for (const [index, outcome] of outcomes.entries()) {
      assert.equal(outcome.status === "fulfilled" ? outcome.value : outcome.reason, index % 2 === 1 ? "infected" : "clean");
    }
    assert.equal(answered, 60);
  });

  test("goes on with one of two when the other is killed", async () => {
    await using steady = await startRealClamd();
    await using dying = await startRealClamd({ listens: "tcp" });
    await using stage = await openPool({ addresses: [steady.address, dying.address], backend: { slots: () => 2 } });
    const scans = Array.from({ length: 40 }, (_, index) =>
      stage.scan(Buffer.from(index % 2 === 1 ? `${index}${marker}` : `${index}`)),
    );
    await scans[0];
    await dying.kill();
    const kinds = (await Promise.all(scans)).map(({ verdict }) => verdict.kind);
    assert.deepEqual(
      kinds,
      kinds.map((_, index) => (index % 2 === 1 ? "infected" : "clean")),
    );
  });

  test("finds what new signatures name as soon as they are loaded", async () => {
    await using clamd = await startRealClamd();
    await using stage = await openPool({ addresses: [clamd.address] });
    const text = "something that nobody minded";
    assert.equal((await stage.scan(text)).verdict.kind, "clean");
    await clamd.reload({ "new.ndb": bodySignature("New.Name", text) });
    await eventually("it is found", async () => (await stage.scan(text)).verdict.kind === "infected");
    await stage.isUp(1);
  });

  test("loses nothing to sessions that clamd ends for its ReadTimeout, whenever the next body comes", async () => {
    await using clamd = await startRealClamd({ listens: "tcp", conf: "ReadTimeout 1\n" });
    const timing = { ...quickTiming, proofIntervalMs: 60_000 };
    await using stage = await openPool({ addresses: [clamd.address], backend: { timing } });
    for (let round = 0; round < 2; round += 1) {
      assert.equal((await stage.scan(`${round}${marker}`)).verdict.kind, "infected");
      await eventually("clamd has ended the session", () => stage.openSockets() === 0);
      assert.equal((await stage.scan(`${round} clean`)).verdict.kind, "clean");
      // Right behind its end, where nobody has heard of it yet.
      await delay(990);
      assert.equal((await stage.scan(`${round} clean again`)).verdict.kind, "clean");
    }
    assert.equal(stage.events.filter(({ kind }) => kind === "backend-down").length, 0);
  });

  test("does not use a clamd whose signatures know no EICAR", async () => {
    await using clamd = await startRealClamd();
    const blind = { bytes: Buffer.from("known to nobody"), epochOf: eicarCanary().epochOf };
    await using stage = await openPool({ addresses: [clamd.address], backend: { canary: blind } });
    await assert.rejects(stage.scan("a body"), { code: "engine-unavailable" });
  });

  test("calls a body above clamd's own limit too large, however much of it is on the way, and serves the next", async () => {
    for (const listens of ["unix", "tcp"] as const) {
      await using clamd = await startRealClamd({ listens, limits: { maxFileSize: mebibyte } });
      await using stage = await openPool({ addresses: [clamd.address] });
      for (let times = 0; times < 5; times += 1) {
        const { verdict } = await stage.scan(Buffer.alloc(20 * mebibyte));
        assert.deepEqual(verdict, { kind: "unscannable", reason: "too-large", heuristic: null });
        assert.equal((await stage.scan("a small one")).verdict.kind, "clean");
      }
    }
  });

  test("leaves no file in clamd's directory", async () => {
    await using clamd = await startRealClamd();
    await using stage = await openPool({ addresses: [clamd.address] });
    await Promise.all([stage.scan(randomBytes(300_000)), stage.scan(marker), stage.scan("")]);
    await eventually("it is empty", async () => (await readdir(clamd.temporaryDirectory)).length === 0);
  });
});

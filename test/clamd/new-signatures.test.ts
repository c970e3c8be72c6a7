/** A given clamd that takes other signatures by itself: the next proof tells, and ends every verdict from before. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseVerdict } from "../../src/cache/cacheable.ts";
import { memoryFront } from "../../src/cache/memory-front.ts";
import { backendTiming } from "../../src/clamd/backend.ts";
import { createScan } from "../../src/core/scan.ts";
import { clean, type FakeClamd, found, startFakeClamd } from "../fake/clamd.ts";
import { eventually } from "../process/stage.ts";
import { startQuietClock } from "../quiet-clock.ts";
import { clock, openPool, type PoolStage, quickTiming } from "./stage.ts";

const before = "ClamAV 1.4.6/27001/Thu Nov 20 10:13:12 2025";
const changes = {
  "another number": "ClamAV 1.4.6/27002/Thu Nov 20 10:13:12 2025",
  "another date": "ClamAV 1.4.6/27001/Fri Nov 21 10:13:12 2025",
  "another engine": "ClamAV 1.5.3/27001/Thu Nov 20 10:13:12 2025",
};

/** What it finds in every body it finds with the later version only. */
async function startChangingClamd(later: string): Promise<{ readonly fake: FakeClamd; change(): void }> {
  let version = before;
  const scan = () => (version === later ? found("Known.Since") : clean);
  const fake = await startFakeClamd({ version: () => version, scan });
  return {
    fake,
    change() {
      version = later;
    },
  };
}

/** Asks about the same body again and again, with a memory of verdicts in front of the pool. */
function asking({ pool, spool }: PoolStage) {
  const scan = createScan({
    spool,
    engine: pool,
    cache: memoryFront(parseVerdict, { store: null, maxEntries: 100, clock, now: Date.now }),
    policy: { allowedReasons: new Set() },
    emit: () => {},
    clock,
    maxBytes: 1000,
    verdictTtlSeconds: 60,
  });
  async function* body() {
    yield Buffer.from("a body");
  }
  return async () => {
    const { signal } = new AbortController();
    await using scanned = await scan(body(), { via: "rest", requestId: "1", name: "a", client: "a client", signal });
    return scanned.report;
  };
}

describe("a clamd whose VERSION changes", () => {
  for (const [what, later] of Object.entries(changes)) {
    test(`to ${what} ends every verdict from before with the next proof`, async (context) => {
      const { fake, change } = await startChangingClamd(later);
      await using _fake = fake;
      await using stage = await openPool({ addresses: [fake.address] });
      const ask = asking(stage);
      await eventually("it is remembered", async () => (await ask()).isCached);
      const scans = fake.bodies.length;
      change();
      const quietMs = startQuietClock();
      let report = await ask();
      await eventually("it is asked for anew", async () => {
        if (report.isCached) report = await ask();
        return !report.isCached;
      });
      const tookMs = quietMs();
      context.diagnostic(`${Math.round(tookMs)} ms, with a proof every ${quickTiming.proofIntervalMs} ms`);
      assert.deepEqual(report.verdict, { kind: "infected", signatures: ["Known.Since"] });
      assert.equal(fake.bodies.length, scans + 1);
      assert.ok(tookMs < 1_000, `${tookMs} ms`);
      await eventually("the new one is remembered", async () => (await ask()).isCached);
      assert.equal((await ask()).verdict.kind, "infected");
    });
  }

  test("ends them with a proof and with nothing else, and is asked for one every two seconds", async () => {
    const { fake, change } = await startChangingClamd(changes["another number"]);
    await using _fake = fake;
    const timing = { ...quickTiming, proofIntervalMs: 60_000 };
    await using stage = await openPool({ addresses: [fake.address], backend: { timing } });
    const ask = asking(stage);
    await eventually("it is remembered", async () => (await ask()).isCached);
    change();
    assert.equal((await ask()).verdict.kind, "clean");
    assert.equal(await stage.backends[0]?.prove(), true);
    const { isCached, verdict } = await ask();
    assert.deepEqual([isCached, verdict.kind], [false, "infected"]);
    assert.equal(backendTiming.proofIntervalMs, 2_000);
  });
});

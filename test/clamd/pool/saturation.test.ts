/** Several pools that together send one clamd more than it has threads: load is no loss. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Act, clean, found, startFakeClamd } from "../../fake/clamd.ts";
import { oneOf } from "../../fake/threads.ts";
import { openPool, quickTiming } from "../stage.ts";

const scanMs = 50;
const threads = 4;
const seconds = 5;

describe("a clamd that four pools send four times what it has threads for", () => {
  test("is up for all of them, does what it can, and is joined by a fifth", async (context) => {
    const thread = oneOf(threads);
    const work = async (act: Act): Promise<Act> => {
      await thread(() => delay(scanMs));
      return act;
    };
    let scanned = 0;
    const scan = async (): Promise<Act> => {
      const act = await work(clean);
      scanned += 1;
      return act;
    };
    await using fake = await startFakeClamd({ scan, canary: () => thread(async () => found("Eicar")) });
    await using stages = new AsyncDisposableStack();
    // A canary waits behind twelve scans: three times the time of a scan, and more than a proof may take.
    const options = {
      addresses: [fake.address],
      queueMax: 40,
      queueTimeoutMs: 500,
      backend: { slots: () => threads, timing: { ...quickTiming, proofTimeoutMs: 2 * scanMs } },
    };
    const pools = [];
    for (let pool = 0; pool < 4; pool += 1) pools.push(stages.use(await openPool(options)));

    const endsAt = performance.now() + seconds * 1000;
    const outcomes: Record<string, number> = {};
    const clients = pools.flatMap((stage, pool) =>
      Array.from({ length: 10 }, async (_, client) => {
        for (let body = 0; performance.now() < endsAt; body += 1) {
          const outcome = await stage.scan(`${pool} ${client} ${body}`).then(
            ({ verdict }) => verdict.kind,
            (error) => error.code,
          );
          outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        }
      }),
    );
    await delay(seconds * 500);
    const before = scanned;
    const measuredAt = performance.now();
    const fifth = stages.use(await openPool(options));
    await fifth.isUp(1);
    await Promise.all(clients);
    const rate = (scanned - before) / ((performance.now() - measuredAt) / 1000);
    const most = threads * (1000 / scanMs);
    context.diagnostic(`${JSON.stringify(outcomes)}, ${rate.toFixed(0)} a second of ${most} at most`);
    for (const { events } of [...pools, fifth]) {
      assert.deepEqual(
        events.filter(({ kind }) => kind === "backend-down"),
        [],
      );
    }
    assert.deepEqual(
      Object.keys(outcomes).filter((outcome) => !["clean", "queue-timeout", "queue-full"].includes(outcome)),
      [],
    );
    // Of a machine that others use too: nearly all of it on one that is not.
    assert.ok(rate >= 0.7 * most, `${rate} a second`);
    assert.equal((await fifth.scan("a body")).verdict.kind, "clean");
  });
});

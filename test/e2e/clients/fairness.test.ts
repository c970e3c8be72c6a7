/** One client floods the gateway, another one hardly feels it: the engine's queue is fair by client and priority (product.md A7, accept 8). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { openClientStage, type TestClient, testClient } from "./stage.ts";

const threads = 4;
const scans = 30;
/** Of the one that floods: more than may wait and are scanned together, so that some are refused all the time. */
const floodingAtOnce = 30;
/** The flood is to hold the engine, not the processor that the tests share: that is what the limits are for. */
const retryMs = 1_000;

/** 400 to 600, as the first byte has it: scans that all take the same time would end at the same time. */
function scanMs(body: Buffer): number {
  return 400 + (((body[0] ?? 0) * 37) % 200);
}

const name = (index: number) => String.fromCharCode(33 + (index % 90));

describe("an engine's queue between clients", () => {
  test("keeps the p95 of one within twice of what it is alone while another floods, and refuses it nothing", async (context) => {
    const [flooding, honest] = [testClient("flooding"), testClient("honest00")];
    await using stage = await openClientStage({
      clients: [flooding, honest],
      threads,
      scanMs,
      env: { QUEUE_MAX: "40", VERDICT_CACHE: "none" },
    });

    const timed = async (client: TestClient, round: string): Promise<number[]> => {
      const times: number[] = [];
      for (let index = 0; index < scans; index += 1) {
        const startedAt = performance.now();
        const answer = await stage.scan(client, `${name(index)} ${round} ${index}`);
        await answer.arrayBuffer();
        assert.equal(answer.status, 200);
        times.push(performance.now() - startedAt);
      }
      return times;
    };

    const alone = await timed(honest, "alone");
    let isFlooding = true;
    const statuses = new Map<number, number>();
    const floods = Array.from({ length: floodingAtOnce }, async (_, flood) => {
      for (let index = 0; isFlooding; index += 1) {
        const answer = await stage.scan(flooding, `${name(index + flood)} flood ${flood} ${index}`);
        await answer.arrayBuffer();
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        if (answer.status !== 200) await delay(retryMs);
      }
    });
    await delay(3_000);
    const queued = await stage.gateway.metric("clamgate_queue_length");
    const beside = await timed(honest, "beside");
    isFlooding = false;
    await Promise.all(floods);

    const [before, after] = [p95(alone), p95(beside)];
    context.diagnostic(
      `p95 ${before.toFixed(0)} ms alone, ${after.toFixed(0)} ms beside the flood: ${(after / before).toFixed(2)}; ${queued} queued; flood ${JSON.stringify(Object.fromEntries(statuses))}`,
    );
    // Half of QUEUE_MAX, and whoever else waits just now.
    assert.ok(queued <= 21, `${queued} queued`);
    assert.ok(queued >= 15, `${queued} queued: no flood`);
    assert.ok((statuses.get(503) ?? 0) > 0);
    assert.ok(after <= 2 * before, `${after} ms, ${before} ms alone`);
  });

  test("lets batch wait for interactive, and not for ever", async () => {
    const batch = testClient("batch000", { priority: "batch" });
    const interactive = testClient("interact", { priority: "interactive" });
    await using stage = await openClientStage({
      clients: [batch, interactive],
      threads: 1,
      scanMs: () => 50,
      env: { QUEUE_MAX: "100", VERDICT_CACHE: "none" },
    });
    const send = (client: TestClient, label: string, count: number) =>
      Array.from({ length: count }, async (_, index) => {
        const answer = await stage.scan(client, `${label} ${index}`);
        await answer.arrayBuffer();
        assert.equal(answer.status, 200);
      });
    const all = send(batch, "b", 10);
    await delay(100);
    all.push(...send(interactive, "i", 16));
    await Promise.all(all);
    const order = stage.clamd.bodies.map((body) => body.toString().charAt(0)).join("");
    const [, contended = ""] = /^b+(i.*)$/.exec(order) ?? [];
    // While both wait: four of one, then one of the other.
    assert.match(contended, /^(i{1,4}b)(i{4}b){3,}/, order);
  });
});

function p95(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.95) - 1] ?? Number.NaN;
}

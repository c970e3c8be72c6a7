/** Gateways that together are sent ten times what their clamd can do: load is no loss, and a further one joins. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Act, clean, found, startFakeClamd } from "../../fake/clamd.ts";
import { oneOf } from "../../fake/threads.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

const gatewayCount = 4;
const threads = 4;
const scanMs = 200;
/** By hand for a minute: `SATURATION_SECONDS=60`. */
const seconds = Number(process.env.SATURATION_SECONDS ?? 15);
/** Each sends five times a second where it is refused at once: ten times the twenty scans a second there are. */
const clientsOfEach = 10;

interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
}

describe("four gateways that are sent ten times what their clamd can do", () => {
  test("stay ready, lose next to nothing of it, say when to come again, and are joined by a fifth", async (context) => {
    const thread = oneOf(threads);
    const scanFor = async (ms: number, act: Act): Promise<Act> => {
      await thread(() => delay(ms));
      return act;
    };
    let scanned = 0;
    await using clamd = await startFakeClamd({
      async scan() {
        const act = await scanFor(scanMs, clean);
        scanned += 1;
        return act;
      },
      canary: () => scanFor(0, found("Eicar")),
    });
    const env = {
      CLAMD_PORT: `tcp://127.0.0.1:${clamd.address.port}`,
      CLAMD_THREADS: String(threads),
      CLAMD_SHARERS: String(gatewayCount),
      QUEUE_MAX: "5",
      DOWNLOAD_PROXY_PORT: "off",
      VERDICT_CACHE: "memory:",
    };
    await using started = new AsyncDisposableStack();
    const start = async () => {
      const gateway = started.use(await startGatewayProcess({ env }));
      await gateway.ready();
      return gateway;
    };
    const gateways = await Promise.all(Array.from({ length: gatewayCount }, start));
    const startedAt = performance.now();
    const endsAt = startedAt + seconds * 1000;
    const answers: Answer[] = [];
    const readiness: number[] = [];
    const clients = gateways.flatMap((gateway, place) => [
      ...Array.from({ length: clientsOfEach }, (_, client) => load(gateway, `${place} ${client}`, endsAt, answers)),
      watchReadiness(gateway, endsAt, readiness),
    ]);
    await delay((seconds * 1000) / 2);
    const before = scanned;
    const measuredAt = performance.now();
    const fifth = await start();
    const joinedMs = performance.now() - measuredAt;
    await Promise.all(clients);
    const rate = (scanned - before) / ((performance.now() - measuredAt) / 1000);
    const most = threads * (1000 / scanMs);
    const counted = Object.groupBy(answers, ({ status }) => status);
    const statuses = Object.fromEntries(Object.entries(counted).map(([status, all]) => [status, all?.length]));
    context.diagnostic(
      `${rate.toFixed(1)} scans a second of ${most} at most; ${JSON.stringify(statuses)} in ${seconds} s; the fifth joined in ${Math.round(joinedMs)} ms`,
    );
    assert.deepEqual(Object.keys(statuses).toSorted(), ["200", "503"]);
    assert.ok(answers.every(({ status, retryAfter }) => status === 200 || Number(retryAfter) > 0));
    assert.ok(readiness.length >= gatewayCount && readiness.every((status) => status === 200));
    // Of a machine that others use too: nearly all of it on one that is not.
    assert.ok(rate >= 0.7 * most, `${rate} a second`);
    const answered: Answer[] = [];
    await load(fifth, "the fifth", performance.now() + 1, answered);
    assert.equal(answered[0]?.status, 200);
  });
});

async function load({ url }: GatewayProcess, name: string, endsAt: number, answers: Answer[]): Promise<void> {
  for (let body = 0; performance.now() < endsAt; body += 1) {
    const answer = await fetch(`${url}/scanHandlerBody`, { method: "POST", body: `${name} ${body}` });
    await answer.arrayBuffer();
    answers.push({ status: answer.status, retryAfter: answer.headers.get("retry-after") });
    if (answer.status !== 200) await delay(scanMs);
  }
}

async function watchReadiness({ url }: GatewayProcess, endsAt: number, readiness: number[]): Promise<void> {
  while (performance.now() < endsAt) {
    const answer = await fetch(`${url}/readyz`);
    await answer.arrayBuffer();
    readiness.push(answer.status);
    await delay(250);
  }
}

/** F1, F3: clamd killed or stopped again and again under load. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { GatewayProcess } from "../e2e/gateway-process.ts";
import { startRealClamd } from "../live/clamd.ts";
import { closedTraffic } from "../load/traffic.ts";
import { eventually } from "../process/stage.ts";
import { startQuietClock } from "../quiet-clock.ts";
import { givenClamd } from "./harness/given-clamd.ts";
import { clamdOf } from "./harness/residue.ts";
import { type FaultStage, openFaultStage } from "./harness/stage.ts";
import type { Subject } from "./harness/subjects.ts";

const own = { MAX_THREADS: "2" };

/** @param workers requests under way at any moment. */
function traffic({ rest, subjects, random }: FaultStage, workers: number, seconds: number): Promise<number> {
  return closedTraffic({ workers, seconds }, async () => {
    const size = random.size(100, 200_000);
    const one = random.next() < 0.5 ? subjects.infected(size) : subjects.clean(size);
    await (random.next() < 0.5 ? rest.raw(one) : rest.upload([one]));
  });
}

/** How long the gateway has said, after each end of a child, that it waits before the next start. */
function pausesMs({ lines }: GatewayProcess): readonly number[] {
  return lines.filter((line) => line.includes('"child exited"')).map((line) => Number(JSON.parse(line).restartInMs));
}

describe("clamd under load", () => {
  test("killed again and again costs no request more than a clear error, and is back soon (F1)", async (context) => {
    await using stage = await openFaultStage({ env: own });
    const { gateway, account } = stage;
    const running = traffic(stage, 100, 16);
    const kills: number[] = [];
    for (let kill = 0; kill < 4; kill += 1) {
      await delay(2_500); // the rhythm of the fault: it has been steady, so the pause before the next start is the first again
      const pid = await clamdOf(gateway);
      assert.ok(pid !== null);
      process.kill(pid, "SIGKILL");
      const quietMs = startQuietClock([gateway.pid]);
      let next: number | null = null;
      await eventually("it is another one", async () => {
        next = await clamdOf(gateway);
        return ![null, pid].includes(next);
      });
      await gateway.ready();
      kills.push(quietMs(next === null ? [] : [next]));
    }
    await running;
    const { opened, verdicts, errors, statuses } = account.totals();
    const pauses = pausesMs(gateway);
    context.diagnostic(
      `${opened} requests, ${errors} errors, ${JSON.stringify(statuses)}, back after ${kills.map(Math.round)} ms, pauses of ${pauses} ms among them`,
    );
    assert.deepEqual(
      Object.keys(statuses).filter((status) => !["200", "406", "503"].includes(status)),
      [],
    );
    assert.equal(await gateway.metric('clamgate_child_restarts_total{child="clamd"}'), 4);
    assert.ok(verdicts > opened / 2, `${verdicts} of ${opened} requests got verdicts`);
    assert.equal(pauses.length, kills.length);
    for (const [index, backMs] of kills.entries()) {
      const pauseMs = pauses[index] ?? 0;
      assert.ok(pauseMs <= 1_000, `after kill ${index + 1} the next start waited for ${pauseMs} ms`);
      assert.ok(backMs < pauseMs + 2_500, `after kill ${index + 1} it was back after ${backMs} ms, ${pauseMs} of them a pause`);
    }
  });

  test("one of two killed again and again costs nobody anything: each request has its verdict", async (context) => {
    await using first = await startRealClamd({ listens: "tcp" });
    await using second = await startRealClamd({ listens: "tcp" });
    const servers = [first, second];
    const ports = servers.map(({ address }) => (address.kind === "tcp" ? address.port : 0));
    await using stage = await openFaultStage({ env: givenClamd({ ports }) });
    const running = traffic(stage, 20, 10);
    for (let kill = 0; kill < 4; kill += 1) {
      const server = servers[kill % 2];
      await delay(1_500); // the rhythm of the fault: what was tried again has its answer by then
      await server?.kill();
      await server?.start();
      await eventually("both are up", async () => (await stage.gateway.backendsUp()) === 2);
    }
    await running;
    const { opened, errors, statuses } = stage.account.totals();
    context.diagnostic(`${opened} requests, ${errors} errors, ${JSON.stringify(statuses)}`);
    assert.equal(errors, 0);
  });

  test("both of two killed in turn, ten times: no body is blamed for it, and each is clean in the end", async (context) => {
    await using first = await startRealClamd({ listens: "tcp" });
    await using second = await startRealClamd({ listens: "tcp" });
    const ports = [first, second].map(({ address }) => (address.kind === "tcp" ? address.port : 0));
    await using stage = await openFaultStage({ env: givenClamd({ ports, slots: 4 }) });
    const bothUp = () => eventually("both are up", async () => (await stage.gateway.backendsUp()) === 2);
    const bodies: Subject[] = [];
    for (let round = 0; round < 10; round += 1) {
      const clean = Array.from({ length: 10 }, () => stage.subjects.clean(1_000_000));
      bodies.push(...clean);
      const running = Promise.all(clean.map((body) => stage.rest.raw(body)));
      await eventually("it is at work", async () => ((await stage.gateway.metric("clamgate_slots_in_use")) ?? 0) > 0);
      await first.kill();
      await delay(stage.random.size(1, 150)); // the first one's bodies are with the second by then, or about to be
      await second.kill();
      await Promise.all([first.start(), second.start()]);
      await running;
      await bothUp();
    }
    const { opened, errors, statuses } = stage.account.totals();
    for (const body of bodies) assert.equal((await stage.rest.raw(body)).answer?.status, 200, body.name);
    context.diagnostic(`${opened} requests under the kills, ${errors} errors, ${JSON.stringify(statuses)}; all clean after`);
    assert.equal(statuses["406"], undefined);
  });

  test("stopped, it is passed by; it goes on where it was, without a restart (F3)", async (context) => {
    await using first = await startRealClamd({ listens: "tcp" });
    await using second = await startRealClamd({ listens: "tcp" });
    const ports = [first, second].map(({ address }) => (address.kind === "tcp" ? address.port : 0));
    await using stage = await openFaultStage({ env: givenClamd({ ports, slots: 2 }) });
    const up = () => stage.gateway.backendsUp();
    const running = traffic(stage, 4, 9);
    await delay(1_000); // under load by then
    process.kill(first.pid(), "SIGSTOP");
    const stoppedAt = performance.now();
    await eventually("one is down", async () => (await up()) === 1);
    const noticedMs = performance.now() - stoppedAt;
    const seen = stage.account.totals().opened;
    await delay(2_000); // served by the other one
    assert.ok(stage.account.totals().opened > seen + 10, "the other one serves");
    process.kill(first.pid(), "SIGCONT");
    await eventually("both are up", async () => (await up()) === 2);
    await running;
    const { errors, opened } = stage.account.totals();
    context.diagnostic(`noticed after ${Math.round(noticedMs)} ms; ${opened} requests, ${errors} errors`);
    assert.ok(noticedMs < 8_000, `noticed after ${noticedMs} ms`);
    assert.equal(errors, 0);
  });

  test("our own, stopped, makes the gateway not ready and not dead; no child is started for it", async (context) => {
    await using stage = await openFaultStage({ env: { ...own, QUEUE_TIMEOUT: "1s" } });
    const { gateway, pulse } = stage;
    const pid = await clamdOf(gateway);
    assert.ok(pid !== null);
    process.kill(pid, "SIGSTOP");
    const stoppedAt = performance.now();
    const unready = await pulse.firstReady(false, stoppedAt);
    const refused = await stage.rest.raw(stage.subjects.infected(100));
    assert.equal(refused.answer?.status, 503);
    process.kill(pid, "SIGCONT");
    const goesOnAt = performance.now();
    const ready = await pulse.firstReady(true, goesOnAt);
    assert.equal(await clamdOf(gateway), pid);
    context.diagnostic(
      `not ready ${Math.round(unready.atMs - stoppedAt)} ms after the stop, ready ${Math.round(ready.atMs - goesOnAt)} ms after its end`,
    );
    assert.ok(unready.atMs - stoppedAt < 8_000 && ready.atMs - goesOnAt < 5_000);
    assert.equal((await stage.rest.raw(stage.subjects.infected(100))).answer?.status, 406);
  });
});

/** Gateways that share a clamd and a Redis: they divide its threads while they come, go and die, and never send it more than it has. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { clean, startFakeClamd } from "../../fake/clamd.ts";
import { startRedis, untilTrue } from "../../live/redis.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

const threads = 8;
const scanMs = 100;
const clientsOfEach = 12;

describe("gateways with one clamd and one Redis", () => {
  test("divide its threads, whoever comes, goes or is killed, and whether Redis is there or not", {
    timeout: 170_000,
  }, async (context) => {
    await using redis = await startRedis();
    let isOver = false;
    await using clamd = await startFakeClamd({
      async scan() {
        await delay(scanMs);
        return clean;
      },
    });
    const env = {
      CLAMD_PORT: `tcp://127.0.0.1:${clamd.address.port}`,
      CLAMD_THREADS: String(threads),
      VERDICT_CACHE: `redis://127.0.0.1:${redis.port}`,
      DOWNLOAD_PROXY_PORT: "off",
    };
    await using started = new AsyncDisposableStack();
    const statuses = new Map<number, number>();
    const start = async () => {
      const gateway = started.use(await startGatewayProcess({ env }));
      await gateway.ready();
      return gateway;
    };
    const load = async (gateway: GatewayProcess, isGone = () => false) => {
      const send = async (client: number) => {
        for (let body = 0; !isOver && !isGone(); body += 1) {
          try {
            const answer = await fetch(`${gateway.url}/scanHandlerBody`, {
              method: "POST",
              body: `${gateway.port} ${client} ${body}`,
            });
            await answer.arrayBuffer();
            statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
          } catch (error) {
            if (!isGone()) throw error;
          }
        }
      };
      await Promise.all(Array.from({ length: clientsOfEach }, (_, client) => send(client)));
    };
    const shares = (of: readonly GatewayProcess[]) => Promise.all(of.map((gateway) => gateway.metric("clamgate_slots")));
    const divided = async (of: readonly GatewayProcess[], each: number) => {
      const startedAt = performance.now();
      await untilTrue(async () => (await shares(of)).every((share) => share === each));
      return Math.round(performance.now() - startedAt);
    };

    const [one, two] = await Promise.all([start(), start()]);
    let isStopped = false;
    let isKilled = false;
    const loads = [load(one), load(two)];
    const byTwo = await divided([one, two], 4);
    const [three, four] = await Promise.all([start(), start()]);
    loads.push(
      load(three, () => isStopped),
      load(four, () => isKilled),
    );
    const byFour = await divided([one, two, three, four], 2);

    await redis.kill();
    await delay(2_000);
    assert.deepEqual(await shares([one, two, three, four]), [2, 2, 2, 2], "without Redis they keep what they have");
    await redis.restart();
    await delay(2_000);
    assert.deepEqual(await shares([one, two, three, four]), [2, 2, 2, 2]);

    isKilled = true;
    four.signal("SIGKILL");
    isStopped = true;
    three.signal("SIGTERM");
    const byTwoAgain = await divided([one, two], 4);
    isOver = true;
    await Promise.all(loads);
    context.diagnostic(`divided by two after ${byTwo} ms, by four after ${byFour} ms, by two again after ${byTwoAgain} ms`);
    context.diagnostic(`${clamd.mostAtOnce()} scans at once; ${JSON.stringify(Object.fromEntries(statuses))}`);
    assert.equal(clamd.mostAtOnce(), threads, "all threads were used, and never more");
    assert.ok(byTwoAgain < 20_000);
    assert.deepEqual(
      [...statuses.keys()].filter((status) => status !== 200),
      [],
    );
  });
});

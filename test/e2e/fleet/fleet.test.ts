/** Gateways that share a Redis and their clamd: what is new is scanned once, and nobody waits for a gateway that is gone. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { type Act, clean, type FakeClamd, stall, startFakeClamd } from "../../fake/clamd.ts";
import { type LiveRedis, startRedis, untilTrue } from "../../live/redis.ts";
import { upload } from "../client.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { type Sample, unknownBytes } from "../samples.ts";

const gatewayCount = 4;
const requestCount = 50;
const options = { timeout: 120_000 };

describe("four gateways with one Redis", () => {
  let redis: LiveRedis;
  let clamd: FakeClamd;
  let gateways: GatewayProcess[];
  /** On each scan of the sample, the first one being 0. */
  let script: (scan: number) => Act | Promise<Act>;
  let sample: Sample = unknownBytes(5_000);
  let scans = 0;

  before(async () => {
    redis = await startRedis();
    clamd = await startFakeClamd({
      scan(body) {
        if (!body.includes(sample.bytes)) return clean;
        scans += 1;
        return script(scans - 1);
      },
    });
    gateways = await Promise.all(Array.from({ length: gatewayCount }, startGateway));
  });
  after(async () => {
    await Promise.all(gateways.map((gateway) => gateway[Symbol.asyncDispose]()));
    await clamd[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    sample = unknownBytes(5_000);
    scans = 0;
    script = () => clean;
  });

  async function startGateway(): Promise<GatewayProcess> {
    const { host, port } = clamd.address;
    const gateway = await startGatewayProcess({
      env: {
        CLAMD_PORT: `tcp://${host}:${port}`,
        CLAMD_SLOTS: "4",
        VERDICT_CACHE: `redis://127.0.0.1:${redis.port}`,
        DOWNLOAD_PROXY_PORT: "off",
      },
    });
    await untilReady(gateway);
    return gateway;
  }

  /** One request to each of them in turn. */
  function post(count: number, to: readonly GatewayProcess[]): Promise<readonly number[]> {
    return Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const gateway = to[index % to.length];
        return gateway === undefined ? 0 : (await upload(gateway.url, sample)).status;
      }),
    );
  }

  const sumOf = async (name: string, over = gateways) => {
    const each = await Promise.all(over.map((gateway) => gateway.metric(name)));
    return each.reduce((sum, count) => sum + count, 0);
  };
  /** Waits that ended because a lease had lapsed, or stood for too long. */
  const outlasted = async () => (await waits("lapsed")) + (await waits("overdue"));
  const waits = (outcome: string) => sumOf(`clamgate_flight_waits_total{outcome="${outcome}"}`);

  /**
   * A gateway that Redis does not answer in time scans for itself, and says so. On a machine that is busy with other tests that happens;
   * test/cache/redis/fleet-cache.test.ts takes the time out of it.
   */
  async function assertScans(expected: number, by = gateways): Promise<void> {
    const late = scans === expected ? 0 : await sumOf('clamgate_cache_errors_total{operation="get"}', by);
    assert.ok(scans >= expected && scans <= expected + late, `${scans} scans, ${expected} expected, Redis late ${late} times`);
  }

  test(`scan a new body once, though ${requestCount} requests bring it at the same time`, options, async (context) => {
    const before = await waits("verdict");
    const finish = Promise.withResolvers<Act>();
    script = () => finish.promise;
    const startedAt = performance.now();
    const answers = post(requestCount, gateways);
    await untilTrue(() => scans > 0);
    // Longer than a lease lasts: its holder renews it.
    setTimeout(() => finish.resolve(clean), 4_000);
    assert.deepEqual(new Set(await answers), new Set([200]));
    context.diagnostic(`${scans} scan, all answered after ${(performance.now() - startedAt).toFixed(0)} ms`);
    await assertScans(1);
    assert.equal((await waits("verdict")) - before, gatewayCount - scans);
  });

  test("scan again, each for itself, what has no verdict that could be shared", options, async () => {
    script = () => ({ kind: "answer", pieces: ["stream: Heuristics.Encrypted.Zip FOUND\0"] });
    const waitsBefore = await outlasted();
    const answers = await post(requestCount, gateways);
    assert.deepEqual(new Set(answers), new Set([406]));
    assert.ok(scans <= requestCount, `${scans} scans`);
    assert.equal(await outlasted(), waitsBefore, "nobody waited for a lease to lapse");
  });

  test("scan it once more where the gateway that scans it is killed", options, async (context) => {
    const [holder, ...others] = gateways;
    assert.ok(holder !== undefined);
    script = (scan) => (scan === 0 ? stall : clean);
    const lost = assert.rejects(upload(holder.url, sample));
    await untilTrue(() => scans === 1);
    const answers = post(requestCount, others);
    await new Promise((resolve) => setTimeout(resolve, 500));
    holder.signal("SIGKILL");
    const killedAt = performance.now();
    assert.deepEqual(new Set(await answers), new Set([200]));
    const waitedMs = performance.now() - killedAt;
    context.diagnostic(`${scans} scans, all answered ${waitedMs.toFixed(0)} ms after the kill`);
    await assertScans(2, others);
    assert.ok(waitedMs < 10_000, `${waitedMs} ms`);
    await lost;
    gateways[0] = await startGateway();
  });

  test(
    "wait no longer than the lease for a gateway that stands still, whose verdict comes late and harms nobody",
    options,
    async () => {
      const [holder, ...others] = gateways;
      assert.ok(holder !== undefined);
      const finish = Promise.withResolvers<Act>();
      script = (scan) => (scan === 0 ? finish.promise : clean);
      const late = upload(holder.url, sample);
      await untilTrue(() => scans === 1);
      holder.signal("SIGSTOP");
      try {
        assert.deepEqual(new Set(await post(requestCount, others)), new Set([200]));
      } finally {
        holder.signal("SIGCONT");
      }
      finish.resolve(clean);
      assert.equal((await late).status, 200);
      assert.deepEqual(new Set(await post(requestCount, gateways)), new Set([200]));
      await assertScans(2);
    },
  );

  for (const [what, befall] of [
    ["killed", () => redis.kill()],
    ["frozen", () => redis.freeze()],
  ] as const) {
    test(`answer every request though Redis is ${what} meanwhile, each by a scan of its own`, options, async (context) => {
      const known = unknownBytes(4_000);
      for (const gateway of gateways) assert.equal((await upload(gateway.url, known)).status, 200);
      const finish = Promise.withResolvers<Act>();
      script = () => finish.promise;
      const answers = post(requestCount, gateways);
      await untilTrue(() => scans > 0);
      await befall();
      const startedAt = performance.now();
      await untilTrue(() => scans === gatewayCount);
      context.diagnostic(`all scan for themselves after ${(performance.now() - startedAt).toFixed(0)} ms`);
      finish.resolve(clean);
      assert.deepEqual(new Set(await answers), new Set([200]));
      assert.equal(scans, gatewayCount);
      assert.deepEqual(new Set(await post(requestCount, gateways)), new Set([200]));
      assert.equal(scans, gatewayCount, "each remembers what it has scanned");
      // Known from the store alone to all but one of them.
      sample = known;
      scans = 0;
      assert.deepEqual(new Set(await post(requestCount, gateways)), new Set([200]));
      assert.equal(scans, 0, "what was found in Redis is still known");
      if (redis.isAlive()) redis.thaw();
      else await redis.restart();
      for (const gateway of gateways) await untilReady(gateway);
    });
  }
});

/** With its Redis, too, which it asks anew only for a body that it does not know. */
async function untilReady(gateway: GatewayProcess): Promise<void> {
  await untilTrue(async () => {
    await upload(gateway.url, unknownBytes(100));
    return !(await gateway.troubles()).some((name) => name === "engine" || name === "cache");
  });
}

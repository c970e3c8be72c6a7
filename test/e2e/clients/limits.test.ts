/** What a client may have, and is told of it, by a gateway process (product.md A7-A9, accept 7, 10, 12). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseList } from "structured-headers";
import { startRedis } from "../../live/redis.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { openClientStage, type TestClient, testClient } from "./stage.ts";

const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded";

describe("a gateway process with limits", () => {
  test("lets n requests go, refuses n + 1 with all that the draft names, and says so on each route in its own shape", async () => {
    const shop = testClient("shop0000", { limits: { requests: "5/60s" } });
    const office = testClient("office00");
    await using stage = await openClientStage({ clients: [shop, office] });
    for (let count = 1; count <= 5; count += 1) {
      const answer = await stage.scan(shop, "x");
      assert.equal(answer.status, 200, `request ${count}`);
      assert.equal(answer.headers.get("ratelimit-policy"), '"requests";q=5;w=60');
      const [[name, parameters] = ["", new Map()]] = parseList(answer.headers.get("ratelimit") ?? "");
      assert.equal(name, "requests");
      assert.equal(parameters.get("r"), 5 - count);
    }
    const refused = await stage.scan(shop, "x");
    assert.equal(refused.status, 429);
    assert.match(refused.headers.get("content-type") ?? "", /^application\/problem\+json/);
    const retryAfter = Number(refused.headers.get("retry-after"));
    assert.ok(retryAfter >= 1 && retryAfter <= 12, `${retryAfter}`);
    const [[, parameters] = ["", new Map()]] = parseList(refused.headers.get("ratelimit") ?? "");
    assert.deepEqual([parameters.get("r"), parameters.get("t")], [0, retryAfter]);
    const problem = (await refused.json()) as Record<string, unknown>;
    assert.equal(problem.type, quotaExceeded);
    assert.equal(problem.code, "rate-limited");
    assert.equal(problem.status, 429);
    assert.deepEqual(problem["violated-policies"], ["requests"]);

    const own = await stage.scan(shop, "x", "/scanHandlerBody");
    assert.equal(own.status, 429);
    assert.ok(Number(own.headers.get("retry-after")) >= 1);
    assert.equal(own.headers.get("ratelimit-policy"), '"requests";q=5;w=60');
    const shape = (await own.json()) as Record<string, unknown>;
    assert.deepEqual(Object.keys(shape), ["Status", "Description"]);
    assert.equal(shape.Status, "ERROR");

    const other = await stage.scan(office, "x");
    assert.equal(other.status, 200);
    assert.equal(other.headers.get("ratelimit"), null);
    assert.equal((await fetch(`${stage.gateway.url}/livez`)).status, 200);
    assert.equal(await stage.gateway.metric('clamgate_limited_total{policy="requests"}'), 2);
  });

  test("counts bytes to n, announced or not, and gives back what did not come", async () => {
    const shop = testClient("shop0000", { limits: { bytes: "10K/1000s" } });
    await using stage = await openClientStage({ clients: [shop] });
    const statusOf = async (body: RequestInit["body"]) => {
      const headers = { authorization: `Bearer ${shop.key}` };
      const answer = await fetch(`${stage.gateway.url}/v3/scan`, {
        method: "POST",
        body,
        headers,
        duplex: "half",
      } as RequestInit);
      await answer.arrayBuffer();
      return answer.status;
    };
    const streamed = (bytes: number) => new Blob([new Uint8Array(bytes)]).stream();
    assert.equal(await statusOf("x".repeat(4_000)), 200);
    assert.equal(await statusOf(streamed(2_000)), 200);
    await settled();
    assert.equal(await statusOf("x".repeat(4_100)), 429);
    assert.equal(await statusOf("x".repeat(3_990)), 200);
    // It has begun with some bytes left, and goes on to its end.
    assert.equal(await statusOf(streamed(5_000)), 200);
    await settled();
    assert.equal(await statusOf("x"), 429);
    assert.equal(await statusOf(streamed(1)), 429);
  });

  test("lets a body go that is larger than the whole bucket, once", async () => {
    const shop = testClient("shop0000", { limits: { bytes: "1K/1000s" } });
    await using stage = await openClientStage({ clients: [shop] });
    assert.equal((await stage.scan(shop, "x".repeat(5_000))).status, 200);
    assert.equal((await stage.scan(shop, "x".repeat(5_000))).status, 429);
  });

  test("lets n at once, refuses n + 1, and takes the next when one has ended", async () => {
    const shop = testClient("shop0000", { limits: { concurrent: 3 } });
    await using stage = await openClientStage({ clients: [shop], scanMs: () => 500, env: { VERDICT_CACHE: "none" } });
    const answers = await Promise.all(Array.from({ length: 4 }, (_, index) => stage.scan(shop, `body ${index}`)));
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 200, 200, 429]);
    await Promise.all(answers.map((answer) => answer.arrayBuffer()));
    await settled();
    assert.equal((await stage.scan(shop, "after")).status, 200);
  });

  test("keeps a quota over a restart", async () => {
    const shop = testClient("shop0000", { quota: { bytes: "10K/365d" } });
    await using directory = await scratchDirectory();
    const options = { clients: [shop], state: directory.path };
    {
      await using stage = await openClientStage(options);
      assert.equal((await stage.scan(shop, "x".repeat(6_000))).status, 200);
    }
    await using stage = await openClientStage(options);
    assert.match((await stage.scan(shop, "")).headers.get("ratelimit") ?? "", /^"quota-bytes";r=4000;t=\d+$/);
    const refused = await stage.scan(shop, "x".repeat(4_001));
    assert.equal(refused.status, 429);
    assert.deepEqual(((await refused.json()) as Record<string, unknown>)["violated-policies"], ["quota-bytes"]);
    assert.equal((await stage.scan(shop, "x".repeat(4_000))).status, 200);
    assert.equal((await stage.scan(shop, "x")).status, 429);
  });

  test("goes on scanning without its quota while Redis is gone, counts that, and enforces it again", async () => {
    await using redis = await startRedis();
    const shop = testClient("shop0000", { quota: { bytes: "10K/365d" } });
    const scans = async (client: TestClient, bytes: number) => (await stage.scan(client, "x".repeat(bytes))).status;
    await using stage = await openClientStage({
      clients: [shop],
      env: { VERDICT_CACHE: `redis://127.0.0.1:${redis.port}` },
    });
    // Connected, and asked.
    while ((await stage.scan(shop, "")).status !== 200) await delay(50);
    await until(async () => (await scans(shop, 9_000)) === 429);
    await redis.kill();
    await until(async () => (await scans(shop, 9_000)) === 200);
    for (let count = 0; count < 5; count += 1) assert.equal(await scans(shop, 9_000), 200);
    assert.ok((await stage.gateway.metric("clamgate_quota_unknown_total")) >= 6);
    await redis.restart();
    await until(async () => (await scans(shop, 9_000)) === 429);
  });
});

/** What has come of a body is counted when its response has ended, on the gateway's side. */
function settled(): Promise<void> {
  return delay(100);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (await isSo()) return;
    await delay(50);
  }
  assert.fail("it never came to that");
}

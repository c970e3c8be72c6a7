/** F31: the ICAP server of a whole gateway, at its limits of time, room and connections, with clients that leave, and at its end (icap.md 25, 48, 53, 54). */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { startGatewayProcess } from "../e2e/gateway-process.ts";
import { chunked, type RawIcap, rawIcap, respmod } from "../front/icap/raw-icap.ts";
import { eventually } from "../process/stage.ts";
import { givenClamd } from "./harness/given-clamd.ts";
import { startScriptedClamd } from "./harness/scripted-clamd.ts";
import { openFaultStage } from "./harness/stage.ts";

async function icapPortOf(gateway: { line(text: string): Promise<string> }): Promise<number> {
  return Number(/icap:\/\/127\.0\.0\.1:(\d+)/.exec(await gateway.line("ICAP on icap://"))?.[1]);
}

const ask = (body: string, service = "avscan") => respmod({ service, fields: "Allow: 204\r\n", body: chunked(body) });
const options = "OPTIONS icap://x/avscan ICAP/1.0\r\n\r\n";

/** One for each way of failing. */
const services = ["avscan", "told", "proxy"] as const;

async function failsEverywhere(port: number, request: (service: string) => string): Promise<void> {
  const [reset, told, page] = await Promise.all(
    services.map(async (service) => {
      using client = rawIcap(port);
      await client.send(request(service));
      const answer = await client.answerOrEnd();
      return { answer, end: answer === null ? await client.ended() : null };
    }),
  );
  assert.equal(reset?.end, "reset");
  assert.equal(told?.answer?.status, 503);
  assert.equal(page?.answer?.status, 200);
  assert.match(page?.answer?.httpHead ?? "", /^HTTP\/1\.1 503 /);
}

async function opened(port: number, count: number): Promise<readonly RawIcap[]> {
  const clients = Array.from({ length: count }, () => rawIcap(port));
  await Promise.all(clients.map(({ socket }) => once(socket, "connect")));
  return clients;
}

describe("the ICAP server of a whole gateway", () => {
  test("keeps nothing of 200 clients that leave at 0, 50 and 99 % of what they send (54)", async (context) => {
    await using clamd = await startScriptedClamd({ manner: () => "honest" });
    await using stage = await openFaultStage({
      env: { ...givenClamd({ ports: [clamd.address.port] }), ICAP_PORT: "0", SPOOL_MEMORY: "50K" },
    });
    const port = await icapPortOf(stage.gateway);
    const request = ask(stage.random.bytes(200_000).toString("latin1"));
    for (const share of [0, 0.5, 0.99]) {
      const clients = await opened(port, 67);
      await Promise.all(clients.map((client) => client.send(request.slice(0, Math.floor(request.length * share)))));
      for (const { socket } of clients) socket.resetAndDestroy();
    }
    await eventually("all have gone", async () => (await stage.gateway.metric("clamgate_icap_connections")) === 0);
    assert.equal(clamd.bodies.length, 0, "none was scanned");
    const [gone] = await stage.gateway.metrics('clamgate_icap_requests_total{method="RESPMOD",answer="gone"}');
    context.diagnostic(`${gone} requests were under way when their clients left`);
    using client = rawIcap(port);
    await client.send(ask("clean"));
    assert.equal((await client.answer()).status, 204);
  });

  test("ends a scan without end, a full queue and a full spool each as its path has it, and says which it was (25)", async () => {
    await using clamd = await startScriptedClamd({
      manner: (_, body) => (body.includes("endless") ? "never" : "honest"),
    });
    const env = {
      ...givenClamd({ ports: [clamd.address.port], slots: services.length }),
      ICAP_PORT: "0",
      ICAP_ON_ERROR: "reset,told=status,proxy=page",
      SCAN_TIMEOUT: "3s",
      QUEUE_MAX: "0",
      MAX_FILE_SIZE: "1M",
      SPOOL_MAX: "1M",
      SPOOL_MEMORY: "0",
    };
    await using gateway = await startGatewayProcess({ env });
    await gateway.ready();
    const port = await icapPortOf(gateway);
    using filling = rawIcap(port);
    await filling.send(respmod({ body: `ffffff\r\n${"x".repeat(700_000)}` }));
    await eventually("half of it is in the spool", async () => (await gateway.metric("clamgate_spool_file_bytes")) > 500_000);
    await failsEverywhere(port, (service) => ask(`${service} ${"y".repeat(900_000)}`, service));
    filling.socket.destroy();

    const endless = failsEverywhere(port, (service) => ask(`endless ${service}`, service));
    await clamd.received(services.length);
    await failsEverywhere(port, (service) => ask(`one too many ${service}`, service));
    await endless;
    // A line is written when its client has been told.
    const told = () =>
      gateway.lines.map((line) => JSON.parse(line)).filter(({ msg, answer }) => msg === "icap" && answer !== "gone");
    await eventually("each has its line", () => told().length === 9);
    assert.deepEqual(
      told()
        .map(({ code, answer }) => `${code} ${answer}`)
        .toSorted(),
      ["queue-full", "scan-timeout", "spool-full"].flatMap((code) =>
        ["503", "page", "reset"].map((answer) => `${code} ${answer}`),
      ),
    );
  });

  test("resets connection 1,001, counts it, and takes another when one has gone (48)", async () => {
    await using clamd = await startScriptedClamd({ manner: () => "honest" });
    await using stage = await openFaultStage({ env: { ...givenClamd({ ports: [clamd.address.port] }), ICAP_PORT: "0" } });
    const port = await icapPortOf(stage.gateway);
    const clients = await opened(port, 1_000);
    const connections = () => stage.gateway.metric("clamgate_icap_connections");
    await eventually("all are there", async () => (await connections()) === 1_000);
    using refused = rawIcap(port);
    assert.equal(await refused.ended(), "reset");
    assert.equal(await stage.gateway.metric('clamgate_icap_connections_refused_total{reason="limit"}'), 1);
    clients[0]?.socket.destroy();
    await eventually("a place is free", async () => (await connections()) === 999);
    using taken = rawIcap(port);
    await taken.send(options);
    assert.equal((await taken.answer()).status, 200);
    for (const client of clients) client[Symbol.dispose]();
  });

  test("answers what is under way at SIGTERM with Connection: close, and past its grace as a failure (53)", async () => {
    const release = Promise.withResolvers<void>();
    await using clamd = await startScriptedClamd({
      manner: (_, body) => (body.includes("endless") ? "never" : "honest"),
      until: release.promise,
    });
    const env = { ...givenClamd({ ports: [clamd.address.port] }), ICAP_PORT: "0", SHUTDOWN_GRACE: "3s" };
    await using gateway = await startGatewayProcess({ env });
    await gateway.ready();
    const port = await icapPortOf(gateway);
    using idle = rawIcap(port);
    await idle.send(options);
    assert.equal((await idle.answer()).status, 200);
    using pending = rawIcap(port);
    await pending.send(ask("clean"));
    using stuck = rawIcap(port);
    await stuck.send(ask("endless"));
    using page = rawIcap(port);
    await page.send(ask("endless too", "proxy"));
    await clamd.received(3);
    gateway.signal("SIGTERM");
    assert.equal(await idle.ended(), "fin");
    release.resolve();
    const answer = await pending.answer();
    assert.equal(answer.status, 204);
    assert.match(answer.head, /\r\nConnection: close\r\n/);
    assert.equal(await pending.ended(), "fin");
    assert.equal(await stuck.ended(), "reset");
    assert.match((await page.answer()).httpHead ?? "", /^HTTP\/1\.1 503/);
    assert.equal(await gateway.ended, 0);
  });
});

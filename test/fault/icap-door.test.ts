/** F31: the ICAP server of a whole gateway, at its limit of connections, with clients that leave, and at its end (icap.md 48, 53, 54). */

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

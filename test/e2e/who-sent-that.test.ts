/** The log answers "who sent that?": each request has its lines, with address, method, route and status, and the proxy in front is believed where it is trusted. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { eicar } from "./samples.ts";

interface Line {
  readonly msg: string;
  readonly id: string;
  readonly client: string;
  readonly method: string | null;
  readonly route: string;
  readonly status: number;
  readonly lines?: number;
}

const options = { timeout: 120_000 };

describe("the log", () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startGatewayProcess({ env: { TRUSTED_PROXIES: "127.0.0.0/8", DOWNLOAD_PROXY_PORT: "off" } });
    await gateway.ready();
  });
  after(() => gateway[Symbol.asyncDispose]());

  const linesOf = (): readonly Line[] =>
    gateway.lines.map((line) => JSON.parse(line)).filter(({ msg }) => /^(scanned|scan failed|refused)/.test(msg));

  async function lineWith(id: string): Promise<Line> {
    return JSON.parse(await gateway.line(`"id":"${id}"`));
  }

  test("names the client behind a trusted proxy, method, route, status and the id that the client gave", options, async () => {
    const body = new FormData();
    body.append("file", new Blob([new Uint8Array(eicar.bytes)]), "bad.bin");
    const headers = { "x-request-id": "order-4711", "x-forwarded-for": "198.51.100.9, 192.0.2.7" };
    const answer = await fetch(`${gateway.url}/v2/scan`, { method: "POST", body, headers });
    assert.deepEqual([answer.status, answer.headers.get("x-request-id")], [406, "order-4711"]);
    const { client, method, route, status, msg } = await lineWith("order-4711");
    assert.deepEqual(
      { client, method, route, status, msg },
      { client: "192.0.2.7", method: "POST", route: "/v2/scan", status: 406, msg: "scanned" },
    );
  });

  test("gives an id of its own where the client's could be mistaken for something else", options, async () => {
    for (const given of ["", "a b", "x".repeat(65), '"quoted"']) {
      const answer = await fetch(`${gateway.url}/scanHandlerBody`, {
        method: "POST",
        body: given,
        headers: { "x-request-id": given },
      });
      const id = answer.headers.get("x-request-id") ?? "";
      assert.match(id, /^[0-9a-f-]{36}$/);
      assert.equal((await lineWith(id)).status, 200);
    }
  });

  test("has one line for what is refused, and for what is no request", options, async () => {
    const ask = async (path: string, method: string, id: string, body?: string) => {
      const { status } = await fetch(`${gateway.url}${path}`, {
        method,
        headers: { "x-request-id": id },
        ...(body === undefined ? {} : { body }),
      });
      const line = await lineWith(id);
      return [status, line.msg, line.status, line.method, line.route];
    };
    assert.deepEqual(await ask("/nowhere", "GET", "r-404"), [404, "refused", 404, "GET", "other"]);
    assert.deepEqual(await ask("/v2/scan", "PUT", "r-405"), [405, "refused", 405, "PUT", "other"]);
    assert.deepEqual(await ask("/v2/scan", "POST", "r-400", "no form"), [400, "refused", 400, "POST", "/v2/scan"]);
    const socket = connect(gateway.port, "127.0.0.1");
    socket.end("nonsense\r\n\r\n");
    assert.match(await text(socket), /^HTTP\/1\.1 400 /);
    await gateway.line('"route":"none","status":400');
    assert.equal(await gateway.metric('clamgate_requests_total{route="/v2/scan",status="400"}'), 1);
    assert.equal(await gateway.metric('clamgate_requests_total{route="none",status="400"}'), 1);
  });

  test("has a line for each of 2,000 requests, of which few lines stand for many refusals", options, async (context) => {
    const [before, bytesBefore] = [linesOf().length, 0];
    let sent = 0;
    const send = async (client: number) => {
      for (; sent < 2_000; ) {
        sent += 1;
        const isScan = sent % 4 !== 0;
        const headers = { "x-forwarded-for": `192.0.2.${client}` };
        const path = isScan ? "/scanHandlerBody" : "/nowhere";
        await (await fetch(`${gateway.url}${path}`, { method: "POST", body: `${client} ${sent}`, headers })).arrayBuffer();
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, client) => send(client + 1)));
    const counted = () =>
      linesOf()
        .slice(before)
        .reduce((sum, { lines = 1 }) => sum + lines, 0);
    for (let wait = 0; counted() < 2_000 && wait < 100; wait += 1) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(counted(), 2_000);
    const scans = gateway.lines
      .filter((line) => line.includes('"msg":"scanned"') && line.includes("/scanHandlerBody"))
      .slice(-1_500);
    for (const line of scans) assert.match(line, /"client":"192\.0\.2\.[1-8]".*"status":200/);
    const bytes = scans.reduce((sum, line) => sum + line.length + 1, bytesBefore) / scans.length;
    context.diagnostic(`${Math.round(bytes)} bytes a scan`);
    assert.ok(bytes <= 420, `${bytes}`);
  });
});

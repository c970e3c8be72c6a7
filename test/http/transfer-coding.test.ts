import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { startServers } from "../../src/app/servers.ts";
import { restFront } from "../../src/front/rest/front.ts";
import { ok } from "../fake/origin.ts";
import { openProxy } from "../front/proxy/proxy-stage.ts";
import { createFakeScan, type FakeScan } from "../front/rest/fake-scan.ts";
import { frontOptions, maxBytes } from "../front/rest/rest-server.ts";

/** A request with a chunked body that a reader who does not know the chunks takes for a second one, and a third behind it. */
function pipelined(line: string, codings: string, more: string): string {
  const inner = "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n";
  const body = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`;
  return `${line} HTTP/1.1\r\nHost: x\r\n${more}Transfer-Encoding: ${codings}\r\n\r\n${body}GET /after HTTP/1.1\r\nHost: x\r\n\r\n`;
}

/** The statuses of all answers until the server ends the connection. */
async function statuses(port: number, text: string): Promise<{ readonly statuses: readonly string[]; readonly all: string }> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => {});
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.write(text, "latin1");
  await closed;
  const all = Buffer.concat(chunks).toString("latin1");
  return { statuses: Array.from(all.matchAll(/HTTP\/1\.1 (\d{3}) /g), ([, status = ""]) => status), all };
}

async function startRest(fake: FakeScan) {
  const front = restFront(frontOptions(fake, [], {}));
  const servers = await startServers({
    host: "127.0.0.1",
    port: 0,
    tls: null,
    maxConnections: 0,
    answerTimeoutMs: 10_000,
    headTimeoutMs: 10_000,
    fronts: [front.plugin],
    take: front.take,
    openapi: {},
    emit: () => {},
  });
  return { port: Number(new URL(servers.urls[0] ?? "").port), close: () => servers.close() };
}

const refused = [
  "deflate, chunked",
  "gzip, chunked",
  "identity, chunked",
  ", chunked",
  "gzip\r\nTransfer-Encoding: chunked",
  "gzip",
  "identity",
  "chunked, chunked",
  "chunked\r\nTransfer-Encoding: chunked",
  "chunked, identity",
  "chunked\r\nTransfer-Encoding: gzip",
  "chunked;q=1",
  "xchunked",
  "",
];

describe("a transfer coding other than chunked alone", () => {
  for (const coding of refused) {
    test(`${JSON.stringify(coding)} is 501 on both ports, and ends the connection`, async () => {
      const fake = createFakeScan({ maxBytes });
      const rest = await startRest(fake);
      for (const path of ["/scanHandlerBody", "/v2/scan", "/nowhere"]) {
        const answer = await statuses(rest.port, pipelined(`POST ${path}`, coding, ""));
        assert.deepEqual(answer.statuses, ["501"], path);
        assert.match(answer.all, /connection: close\r\n/i);
        assert.match(answer.all, /\{"Status":"ERROR","Description":"The transfer coding is not supported: only chunked is"\}$/);
      }
      await rest.close();
      assert.deepEqual(fake.begun, []);

      await using proxy = await openProxy(() => ok("hello"));
      for (const method of ["GET", "POST"]) {
        const answer = await statuses(proxy.port, pipelined(`${method} /x`, coding, `Download-From: ${proxy.base}\r\n`));
        assert.deepEqual(answer.statuses, ["501"], method);
        assert.match(answer.all, /connection: close\r\n/i);
        assert.match(answer.all, /\{"detail":"The transfer coding is not supported: only chunked is"\}$/);
      }
      assert.deepEqual(proxy.origin.requests, []);
    });
  }

  for (const coding of ["gzip", "deflate, chunked", "chunked, chunked"]) {
    test(`${coding} behind another request is answered behind its answer`, async () => {
      await using proxy = await openProxy(() => ok("hello"));
      const from = `Download-From: ${proxy.base}\r\n`;
      const first = `GET /x HTTP/1.1\r\nHost: x\r\n${from}\r\n`;
      const download = await statuses(proxy.port, first + pipelined("GET /y", coding, from));
      assert.deepEqual(download.statuses, ["200", "501"]);

      const rest = await startRest(createFakeScan({ maxBytes }));
      const whole = "POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nvirus:A";
      const upload = await statuses(rest.port, whole + pipelined("POST /scanHandlerBody", coding, ""));
      assert.deepEqual(upload.statuses, ["406", "501"]);
      await rest.close();
    });
  }

  test("is none where it is chunked, in whatever case", async () => {
    const fake = createFakeScan({ maxBytes });
    const rest = await startRest(fake);
    for (const coding of ["chunked", "CHUNKED", " chunked "]) {
      const head = `POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: ${coding}\r\n\r\n`;
      const answer = await statuses(rest.port, `${head}7\r\nvirus:C\r\n0\r\n\r\n`);
      assert.deepEqual(answer.statuses, ["406"]);
    }
    await rest.close();
  });
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { clean, startFakeClamd } from "../../fake/clamd.ts";
import { givenClamd } from "../../fault/harness/given-clamd.ts";
import { accepts } from "../../live/accepts.ts";
import { eventually } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { makeCertificate } from "../certificate.ts";
import { form, http2 } from "../client.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { unknownBytes } from "../samples.ts";

/** Posts a form and resolves with the answer's text, headers included, when the gateway has ended the exchange. */
type Post = (url: string) => Promise<string>;

describe("a request in mid-scan at SIGTERM", () => {
  for (const [name, post, isSecure] of [
    ["HTTP/1.1", postHttp1, false],
    ["HTTP/2 by prior knowledge", postHttp2, false],
    ["HTTP/1.1 over TLS", postHttp1, true],
    ["HTTP/2 over TLS", postHttp2, true],
  ] as const) {
    test(`gets its answer over ${name}, and the gateway ends with 0`, { timeout: 120_000 }, async () => {
      const released = Promise.withResolvers<void>();
      await using clamd = await startFakeClamd({ scan: () => released.promise.then(() => clean) });
      await using directory = await scratchDirectory();
      await using gateway = await startSecureGateway(clamd.address.port, directory.path);
      const url = gateway.urls[isSecure ? 1 : 0] ?? "";
      const answer = (post satisfies Post)(url);
      await clamd.received(1);
      gateway.signal("SIGTERM");
      await eventually("nobody gets in any more", async () => !(await accepts(Number(new URL(url).port))));
      released.resolve();
      assert.match(await answer, /"Status":"OK"/);
      assert.equal(await gateway.ended, 0);
    });
  }
});

async function startSecureGateway(clamdPort: number, directory: string): Promise<GatewayProcess> {
  const { cert, key } = await makeCertificate(directory);
  const env = { ...givenClamd({ ports: [clamdPort] }), SSL_PORT: "0", SSL_CERT: cert, SSL_KEY: key };
  const gateway = await startGatewayProcess({ env });
  await gateway.ready();
  return gateway;
}

/** On a connection that the client would keep: that it ends is the gateway's doing. */
async function postHttp1(url: string): Promise<string> {
  const { body, contentType } = form(unknownBytes(1_000));
  const { protocol, port } = new URL(url);
  const to = { port: Number(port), host: "127.0.0.1" };
  const socket: Socket = protocol === "https:" ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
  let text = "";
  socket.setEncoding("latin1").on("data", (more) => {
    text += more;
  });
  socket.on("error", () => {}); // a cut is an answer too
  socket.write(`POST /v2/scan HTTP/1.1\r\nHost: x\r\nContent-Type: ${contentType}\r\nContent-Length: ${body.length}\r\n\r\n`);
  socket.write(body);
  await once(socket, "close");
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\nConnection: close\r\n/i);
  return text;
}

async function postHttp2(url: string): Promise<string> {
  const { body, contentType } = form(unknownBytes(1_000));
  const answer = await http2(`${url}/v2/scan`, body, contentType);
  assert.deepEqual([answer.status, answer.httpVersion], [200, "2"]);
  return answer.body;
}

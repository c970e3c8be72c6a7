import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { suiteDirectory } from "../scratch-directory.ts";
import { makeCertificate } from "./certificate.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";

const request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/** Longer than the 10 s after which a client that connects ahead of its request was once cut. */
const pauseMs = 11_000;

describe("CLIENT_HEAD_TIMEOUT", { concurrency: true }, () => {
  const directory = suiteDirectory();
  let env: Readonly<Record<string, string>> = {};
  before(async () => {
    const { cert, key } = await makeCertificate(directory.path);
    env = { SSL_PORT: "0", SSL_CERT: cert, SSL_KEY: key };
  });

  test("leaves a new connection, and a head that pauses, its minute on every port", async () => {
    await using gateway = await startGatewayProcess({ env });
    await eachPort(gateway, async (open) => {
      const idle = await open();
      const paused = await open();
      const answers = [textOf(idle), textOf(paused)];
      paused.write(request.slice(0, 20));
      await delay(pauseMs);
      idle.write(request);
      paused.write(request.slice(20));
      // The download proxy answers in words of its own; what counts is that it does.
      for (const text of await Promise.all(answers)) assert.match(text, /^HTTP\/1\.1 (?!408)\d/);
    });
  });

  test("ends both on every port when it is over, however the head dawdles", async (context) => {
    await using gateway = await startGatewayProcess({ env: { ...env, CLIENT_HEAD_TIMEOUT: "1s" } });
    await eachPort(gateway, async (open, name) => {
      const openedAt = performance.now();
      const idle = await open();
      const slow = await open();
      slow.write("GET /livez HTTP/1.1\r\nX: ");
      const dripping = setInterval(() => slow.write("a"), 50);
      const texts = await Promise.all([textOf(idle), textOf(slow)]);
      clearInterval(dripping);
      const ms = performance.now() - openedAt;
      context.diagnostic(`${name}: ended after ${ms.toFixed(0)} ms`);
      for (const text of texts) assert.match(text, /^(HTTP\/1\.1 408|$)/);
      assert.ok(ms > 900 && ms < 5_000);
    });
  });
});

type Open = () => Promise<Socket>;

async function eachPort(gateway: GatewayProcess, run: (open: Open, name: string) => Promise<void>): Promise<void> {
  const secure = gateway.urls.find((url) => url.startsWith("https:"));
  assert.ok(secure !== undefined);
  const plain = (port: number) => async () => opened(connect(port, "127.0.0.1"), "connect");
  const tls = () => {
    const to = { port: Number(new URL(secure).port), host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] };
    return opened(connectTls(to), "secureConnect");
  };
  await Promise.all([run(plain(gateway.port), "plain"), run(tls, "TLS"), run(plain(gateway.proxyPort), "download proxy")]);
}

async function opened(socket: Socket, event: string): Promise<Socket> {
  socket.on("error", () => {}); // cut: what it said before counts
  await once(socket, event);
  return socket;
}

async function textOf(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  await once(socket, "close");
  return text;
}

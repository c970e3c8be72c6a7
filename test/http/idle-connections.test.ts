import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { endIdleConnections, endWhenIdle } from "../../src/http/idle-connections.ts";
import { listening } from "../listening.ts";
import { getText, type Listening, listen, openConnection, openSession, standStill, textUntilEnd } from "./both-servers.ts";

const first = "GET /first HTTP/1.1\r\nHost: x\r\n\r\n";
const last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/** One that has had an answer and is idle since. */
async function openIdle(listening: Listening) {
  const accepted = once(listening.server, listening.isSecure ? "secureConnection" : "connection");
  const client = await openConnection(listening);
  const [served] = (await accepted) as [Socket];
  const text = textUntilEnd(client);
  client.write(first);
  await once(client, "data");
  return { client, served, text };
}

const echo = (request: IncomingMessage, response: ServerResponse) => void response.end(request.url);

describe("a connection that has been idle for its time", { timeout: 120_000 }, () => {
  test("is ended; while the process stands still, only where no request has come", async () => {
    const server = createServer({ keepAliveTimeout: 100, keepAliveTimeoutBuffer: 0 }, echo);
    endIdleConnections(server);
    const port = await listening(server);
    const sockets = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")] as const;
    const texts = sockets.map((socket) => textUntilEnd(socket.on("error", () => {})));
    for (const socket of sockets) socket.write(first);
    await Promise.all(sockets.map((socket) => once(socket, "data")));
    sockets[0].write(last);
    standStill(300);
    const [asked, idle] = await Promise.all(texts);
    assert.match(asked ?? "", /\/first[\s\S]*\/last$/);
    assert.match(idle ?? "", /\/first$/);
    server.close();
  });

  for (const isSecure of [false, true]) {
    test(`is not ended by the server ${isSecure ? "with" : "without"} TLS where a request has come`, async () => {
      await using listening = await listen(isSecure, echo);
      const { client, served, text } = await openIdle(listening);
      await delay(1); // to where timers are, as Node's own would be, which takes longer than a test
      client.write(last);
      served.emit("timeout");
      assert.match(await text, /\/first[\s\S]*\/last$/);
    });

    test(`is ended by the server ${isSecure ? "with" : "without"} TLS where none has`, async () => {
      await using listening = await listen(isSecure, echo);
      const { served, text } = await openIdle(listening);
      served.emit("timeout");
      assert.match(await text, /\/first$/);
    });
  }

  test("is not ended over HTTP/2 where a request has come", async () => {
    const server = createHttp2((request, response) => void response.end(request.url));
    server.on("session", (session) => endWhenIdle(session, 100));
    const port = await listening(server);
    const session = openSession({ port, isSecure: false });
    assert.equal(await getText(session, "/first"), "/first");
    const answer = getText(session, "/last");
    await new Promise(setImmediate); // node writes it in this turn of the loop, before us
    standStill(300);
    assert.equal(await answer, "/last");
    session.close();
    server.close();
  });
});

describe("a connection that shows its version late", { timeout: 120_000 }, () => {
  test("is ended; while the process stands still, only where nothing has come", async () => {
    await using listening = await listen(false, echo, { headersTimeoutMs: 100 });
    const clients = [await openConnection(listening), await openConnection(listening)] as const;
    const texts = clients.map(textUntilEnd);
    await new Promise(setImmediate);
    clients[0].write(last);
    standStill(300);
    const [asked, silent] = await Promise.all(texts);
    assert.match(asked ?? "", /\/last$/);
    assert.equal(silent, "");
  });

  test("is ended over TLS, where it never shakes hands, whatever is said to broken requests", async () => {
    await using listening = await listen(true, echo, { headersTimeoutMs: 200 });
    listening.server.on("clientError", (_error, socket: Socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const client = connect({ port: listening.port, host: "127.0.0.1", allowHalfOpen: true });
    assert.equal(await textUntilEnd(client), "");
  });
});

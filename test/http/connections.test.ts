import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Server, type Socket } from "node:net";
import { describe, test } from "node:test";
import { trackConnections } from "../../src/http/connections.ts";
import { eventually } from "../process/stage.ts";
import { getText, listen, openConnection, openSession, textUntilEnd } from "./both-servers.ts";

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const head = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/** A server whose requests wait until the test answers them, in their order. */
async function holdRequests(isSecure: boolean) {
  const held: ServerResponse[] = [];
  const hold = (_request: IncomingMessage, response: ServerResponse) => void held.push(response);
  const listening = await listen(isSecure, hold);
  return {
    ...listening,
    connections: trackConnections(listening.server),
    held,
    arrived: (count: number) => eventually(`${count} requests wait`, () => held.length === count),
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

/** So that what drain ends at once has ended: each connection it cuts is gone a turn or two of the loop later. */
async function refused(port: number): Promise<void> {
  await eventually("nobody gets in any more", async () => {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) =>
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false)),
    );
    socket.destroy();
    return !isOpen;
  });
}

describe("a server that drains", { timeout: 120_000 }, () => {
  for (const isSecure of [false, true]) {
    const place = isSecure ? "over TLS" : "in plain";

    test(`answers what is under way over HTTP/1.1 ${place}, and says that it was the last`, async () => {
      await using server = await holdRequests(isSecure);
      const client = await openConnection(server);
      const answer = textUntilEnd(client);
      client.write(get);
      await server.arrived(1);
      const drained = server.connections.drain();
      await refused(server.port);
      server.held[0]?.end("answered");
      assert.match(await answer, /^HTTP\/1\.1 200 OK\r\n(?:.*\r\n)*Connection: close\r\n(?:.*\r\n)*\r\nanswered$/);
      await drained;
    });

    test(`answers what is under way over HTTP/2 ${place}`, async () => {
      await using server = await holdRequests(isSecure);
      const session = openSession(server);
      const answers = Promise.all([getText(session), getText(session)]);
      await server.arrived(2);
      const drained = server.connections.drain();
      await refused(server.port);
      for (const response of server.held) response.end("answered");
      assert.deepEqual(await answers, ["answered", "answered"]);
      await drained;
    });

    test(`ends what is idle at once, ${place}`, async () => {
      await using server = await holdRequests(isSecure);
      const silent = await openConnection(server);
      const used = await openConnection(server);
      const session = openSession(server);
      used.write(get);
      const answer = getText(session);
      await server.arrived(2);
      for (const response of server.held) response.end("answered");
      await answer;
      await once(used, "data");
      await server.connections.drain();
      for (const socket of [silent, used]) socket.destroy();
    });
  }

  test("gives requests that were sent ahead their answers, too; the last one alone ends the connection", async () => {
    await using server = await holdRequests(false);
    const client = await openConnection(server);
    const answer = textUntilEnd(client);
    client.write(get + get);
    await server.arrived(2);
    const drained = server.connections.drain();
    server.held[1]?.end("second");
    server.held[0]?.end("first");
    assert.match(await answer, /Connection: keep-alive\r\n[\s\S]*first[\s\S]*Connection: close\r\n[\s\S]*second$/);
    await drained;
  });

  test("does not wait for a client that neither hangs up nor shakes hands", async () => {
    await using plain = await holdRequests(false);
    await using secure = await holdRequests(true);
    const polite = connect({ port: plain.port, host: "127.0.0.1", allowHalfOpen: true });
    const mute = connect({ port: secure.port, host: "127.0.0.1", allowHalfOpen: true });
    polite.write(head, "latin1");
    await once(polite, "data");
    await eventually("both are there", () => plain.connections.count() + secure.connections.count() === 2);
    await Promise.all([plain.connections.drain(), secure.connections.drain()]);
    for (const socket of [polite, mute]) socket.destroy();
  });

  test("lets an answer that has been written be taken to its end", async () => {
    const large = Buffer.alloc(32 * 1024 * 1024);
    const written = Promise.withResolvers<void>();
    const server = createServer((_request, response) => {
      response.end(large);
      written.resolve();
    });
    const connections = trackConnections(server);
    const client = connect(await portOf(server), "127.0.0.1").pause();
    client.write(get);
    await written.promise;
    const drained = connections.drain();
    assert.ok((await bytesUntilEnd(client)) > large.length);
    await drained;
    server.close();
  });

  test("cuts at once what is left when it is told to, with whatever is under way", async () => {
    await using plain = await holdRequests(false);
    await using secure = await holdRequests(true);
    for (const server of [plain, secure]) {
      const client = await openConnection(server);
      const text = textUntilEnd(client);
      client.write(get);
      const session = openSession(server).on("error", () => {});
      const stream = getText(session);
      await server.arrived(2);
      const drained = server.connections.drain();
      server.connections.destroy();
      await drained;
      assert.equal(await text, "");
      assert.equal(await stream.catch(() => ""), "");
    }
  });
});

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port; // it listens on TCP
}

async function bytesUntilEnd(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on("error", () => {}); // cut
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.resume();
  await once(socket, "close");
  return bytes;
}

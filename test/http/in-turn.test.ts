import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { inTurn } from "../../src/http/in-turn.ts";
import { listening } from "../listening.ts";
import { textUntilEnd } from "./both-servers.ts";

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Its exchanges are answered by the test. */
async function open() {
  const begun: Exchange[] = [];
  let wake = () => {};
  const turns = inTurn((request, response) => {
    begun.push({ request, response });
    wake();
  });
  const server = createServer(turns.listener);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  server.on("clientError", (_error, socket) => {
    turns.refuse(socket, () => socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    wake();
  });
  const port = await listening(server);
  return {
    begun,
    client: () => connect({ port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => {}),
    /** The exchange at that place, when it has begun. */
    async exchange(place: number): Promise<Exchange> {
      for (;;) {
        const found = begun[place];
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const bodies = (text: string) => text.split("HTTP/1.1 ").map((answer) => answer.split("\r\n\r\n")[1] ?? "");

describe("inTurn", { timeout: 120_000 }, () => {
  test("handles a request when the answer to the one before has been handed over", async () => {
    await using server = await open();
    const client = server.client();
    const text = textUntilEnd(client);
    client.write(get("/a") + get("/b") + last);
    for (const place of [0, 1, 2]) {
      const { request, response } = await server.exchange(place);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(server.begun.length, place + 1);
      response.end(request.url);
    }
    assert.deepEqual(bodies(await text), ["", "/a", "/b", "/last"]);
  });

  test("lets connections alone that are others", async () => {
    await using server = await open();
    const one = server.client();
    const other = server.client();
    one.write(get("/a"));
    await server.exchange(0);
    const text = textUntilEnd(other);
    other.write(last);
    (await server.exchange(1)).response.end("last");
    assert.deepEqual(bodies(await text), ["", "last"]);
  });

  test("owes a client that reads nothing one answer, whatever it sends ahead", async () => {
    await using server = await open();
    const client = server.client();
    client.pause();
    client.write(get("/").repeat(30));
    const { request, response } = await server.exchange(0);
    response.end(Buffer.alloc(16 * 1024 * 1024));
    // As much as the two systems hold has left, and the rest does not.
    for (let left = -1; left !== request.socket.writableLength; ) {
      left = request.socket.writableLength;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(server.begun.length, 1);
  });

  for (const [count, isKept] of [
    [33, true],
    [34, false],
  ] as const) {
    test(`${isKept ? "keeps" : "cuts"} a connection with ${count} requests sent ahead`, async () => {
      await using server = await open();
      const client = server.client();
      const text = textUntilEnd(client);
      client.write(get("/").repeat(count - 1) + last);
      const { response } = await server.exchange(0);
      if (isKept) {
        for (let place = 0; place < count; place += 1) (await server.exchange(place)).response.end("x");
        assert.equal(bodies(await text).filter((body) => body === "x").length, count);
      } else {
        assert.equal(await text, "");
        assert.equal(response.destroyed, true);
        assert.equal(server.begun.length, 1);
      }
    });
  }

  test("begins nothing for a client that has gone", async () => {
    await using server = await open();
    const client = server.client();
    client.write(get("/a") + get("/b"));
    const { response } = await server.exchange(0);
    client.resetAndDestroy();
    if (!response.destroyed) await once(response, "close");
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(server.begun.length, 1);
  });
});

describe("what is no request", { timeout: 120_000 }, () => {
  test("is answered behind the answers that are owed", async () => {
    await using server = await open();
    const client = server.client();
    const text = textUntilEnd(client);
    client.write(`${get("/a")}${get("/b")}nonsense\r\n\r\n`);
    for (const place of [0, 1]) (await server.exchange(place)).response.end("x");
    assert.match(await text, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nxHTTP\/1\.1 200 [\s\S]*\r\n\r\nxHTTP\/1\.1 400 [\s\S]*\r\n\r\n$/);
  });

  test("is answered at once where none is owed", async () => {
    await using server = await open();
    const client = server.client();
    const text = textUntilEnd(client);
    client.write("nonsense\r\n\r\n");
    assert.match(await text, /^HTTP\/1\.1 400 /);
  });

  const broken = "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";

  test("inside the body of the request that is being answered is its answer", async () => {
    await using server = await open();
    const client = server.client();
    const text = textUntilEnd(client);
    client.write(broken);
    assert.match(await text, /^HTTP\/1\.1 400 /);
  });

  test("inside the body of a request that waits is its answer", async () => {
    await using server = await open();
    const client = server.client();
    const text = textUntilEnd(client);
    client.write(get("/a") + broken);
    (await server.exchange(0)).response.end("x");
    assert.match(await text, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nxHTTP\/1\.1 400 [\s\S]*\r\n\r\n$/);
    assert.equal(server.begun.length, 1);
  });

  test("inside the body of a request whose answer has begun cuts that answer", async () => {
    await using server = await open();
    const client = server.client();
    const text = textUntilEnd(client);
    client.write("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    const { response } = await server.exchange(0);
    response.writeHead(200, { "content-length": 10 });
    response.write("half");
    client.write("zz\r\n");
    assert.match(await text, /^(HTTP\/1\.1 200 [\s\S]*half)?$/);
  });
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ClientSocket } from "../../../src/front/icap/client-socket.ts";
import { listening } from "../../listening.ts";

const slow = { code: "client-slow" };

describe("a wait for an ICAP client", () => {
  test("ends when something comes, and after its time where nothing does", async () => {
    await using pair = await openPair();
    assert.equal(pair.served.take(), undefined);
    pair.client.write("a");
    await pair.served.change(60_000);
    assert.equal(pair.served.take()?.toString(), "a");
    await assert.rejects(pair.served.change(20), slow);
  });

  test("has its own time, not that of one before it that was given up", async () => {
    await using pair = await openPair();
    const long = assert.rejects(pair.served.change(60_000), slow);
    await assert.rejects(pair.served.change(20), slow);
    await long;

    const short = pair.served.change(20);
    const longer = pair.served.change(60_000);
    await delay(100);
    pair.client.write("b");
    await Promise.all([short, longer]);
    assert.equal(pair.served.take()?.toString(), "b");
  });

  test("ends with the client", async () => {
    await using pair = await openPair();
    const change = pair.served.change(60_000);
    pair.client.destroy();
    await change;
    assert.equal(pair.served.take(), null);
  });
});

async function openPair(): Promise<AsyncDisposable & { readonly served: ClientSocket; readonly client: Socket }> {
  const server = createServer();
  const port = await listening(server);
  const client = connect(port, "127.0.0.1");
  const [accepted] = (await once(server, "connection")) as [Socket];
  server.close();
  return {
    served: new ClientSocket({ socket: accepted, accepted, answerTimeoutMs: 10_000 }),
    client,
    async [Symbol.asyncDispose]() {
      client.destroy();
      accepted.destroy();
    },
  };
}

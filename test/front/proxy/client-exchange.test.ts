import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { toClamgateError } from "../../../src/core/errors.ts";
import { ClientExchange } from "../../../src/front/proxy/client-exchange.ts";

const partBytes = 64 * 1024;

/** Sends the parts by one `send` to a client that takes them as `take` does. Resolves with what the send ended with. */
async function sendTo(take: (client: Socket) => Promise<void>, parts: number, idleTimeoutMs: number): Promise<string> {
  const part = Buffer.alloc(partBytes, 7);
  const sent = Promise.withResolvers<string>();
  const server = createServer(async (request, response) => {
    const exchange = new ClientExchange(request, response, { idleTimeoutMs, marks: [] });
    exchange.begin(200, ["Content-Length", String(parts * partBytes)]);
    try {
      await exchange.send(Array.from({ length: parts }, () => part));
      exchange.end();
      sent.resolve("all");
    } catch (error) {
      exchange.cut();
      sent.resolve(toClamgateError(error).code);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.on("error", () => {}); // it may be cut
  try {
    client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    await take(client);
    return await sent.promise;
  } finally {
    client.destroy();
    server.close();
  }
}

describe("ClientExchange.send", () => {
  test("gives a client that takes its answer slowly all of it, however much is sent at once", async () => {
    const parts = 500;
    let taken = 0;
    const slowly = async (client: Socket) => {
      try {
        for await (const chunk of client) {
          taken += chunk.length;
          await delay(5 * (chunk.length / partBytes));
        }
      } catch {
        // it was cut
      }
    };
    assert.equal(await sendTo(slowly, parts, 1000), "all");
    assert.ok(taken > parts * partBytes, `${taken} bytes`);
  });

  test("rejects with client-slow where the client takes nothing more", async () => {
    assert.equal(await sendTo(async () => {}, 500, 100), "client-slow");
  });
});

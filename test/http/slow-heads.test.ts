import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { plainServer } from "../../src/http/listener.ts";

const limits = { headersTimeoutMs: 2_000, keepAliveTimeoutMs: 60_000, maxHeaderBytes: 65_536, maxConnections: 0 };

describe("heads that never end", () => {
  test("are cut one by one, each at its own time: thousands at once would hold up everybody else", async (context) => {
    const server = plainServer(() => {}, limits).listen(0, "127.0.0.1");
    await once(server, "listening");
    await using _listening = { [Symbol.asyncDispose]: async () => void server.close() };
    const { port } = server.address() as AddressInfo; // it listens on TCP
    const lives: Promise<number>[] = [];
    const firstAt = performance.now();
    for (let index = 0; index < 20; index += 1) {
      const socket = connect(port, "127.0.0.1").resume();
      const openedAt = performance.now();
      socket.write("POST / HTTP/1.1\r\nX: ");
      lives.push(once(socket, "close").then(() => performance.now() - openedAt));
      await delay(40); // how far they are apart
    }
    const openedWithinMs = performance.now() - firstAt;
    const times = (await Promise.all(lives)).sort((a, b) => a - b);
    const [least = 0] = times;
    const most = times.at(-1) ?? 0;
    context.diagnostic(`opened within ${openedWithinMs.toFixed(0)} ms, cut after ${least.toFixed(0)} to ${most.toFixed(0)} ms`);
    assert.ok(least >= limits.headersTimeoutMs - 50);
    // All at once, they would have lived as far apart as they were opened.
    assert.ok(most - least < openedWithinMs / 2);
  });
});

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { upload } from "./client.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { unknownBytes } from "./samples.ts";

/** Uploads that go on for ever, one byte at a time. */
class Tricklers {
  readonly #sockets: Socket[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(port: number, count: number) {
    for (let index = 0; index < count; index += 1) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {}); // cut at the end of the test
      socket.write(
        [
          "POST /v2/scan HTTP/1.1",
          "Host: localhost",
          "Content-Type: multipart/form-data; boundary=x",
          "Content-Length: 20000000",
          "",
          '--x\r\nContent-Disposition: form-data; name="f"; filename="slow"\r\n\r\n',
        ].join("\r\n"),
      );
      this.#sockets.push(socket);
    }
    this.#timer = setInterval(() => {
      for (const socket of this.#sockets) socket.write("x");
    }, 50);
  }

  alive(): number {
    return this.#sockets.filter((socket) => !socket.destroyed).length;
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }
}

describe("slow clients", () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startGatewayProcess();
    await gateway.ready();
  });
  after(() => gateway[Symbol.asyncDispose]());

  test("120 of them cost an honest client at most 100 ms, and again what it takes without them", async (context) => {
    const before = await medianScanMs(gateway.url);
    let beside = Number.NaN;
    const tricklers = new Tricklers(gateway.port, 120);
    try {
      while ((await gateway.metric("clamgate_spool_bodies")) < 120) await new Promise(setImmediate);
      beside = await medianScanMs(gateway.url);
      assert.equal(tricklers.alive(), 120);
      assert.equal(await gateway.metric("clamgate_slots_in_use"), 0);
    } finally {
      tricklers.stop();
    }
    while ((await gateway.metric("clamgate_spool_bodies")) > 0) await new Promise(setImmediate);
    // What else keeps the machine busy may begin or end meanwhile.
    const without = Math.max(before, await medianScanMs(gateway.url));
    context.diagnostic(`median of 31 scans: ${without.toFixed(1)} ms without them, ${beside.toFixed(1)} ms beside them`);
    assert.ok(beside < 2 * without + 100, `${beside} ms beside them, ${without} ms without`);
  });
});

async function medianScanMs(url: string): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < 31; index += 1) {
    const sample = unknownBytes(2048);
    const startedAt = performance.now();
    const answer = await upload(url, sample);
    times.push(performance.now() - startedAt);
    assert.equal(answer.status, 200);
  }
  return times.sort((a, b) => a - b)[15] ?? Number.NaN;
}

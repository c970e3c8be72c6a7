import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { instreamBytes, instreamFile, versionCommand } from "../../../src/clamd/commands.ts";
import { dialClamd, ExchangeError, type ExchangeOptions, exchange } from "../../../src/clamd/connection.ts";
import { maxReplyBytes } from "../../../src/codec/clamd/reply.ts";
import { answer, type FakeClamdOptions, reset, stall, startFakeClamd } from "../../fake/clamd.ts";
import { fakeBody } from "../../fake/spooled-body.ts";
import { listening } from "../../listening.ts";
import { eventually } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { sampleBytes } from "../../spool/scripted-body.ts";
import { startDeafListener } from "../deaf-listener.ts";

/** Where time is no matter: of a machine that others keep busy. */
const limits = { dial: dialClamd, connectTimeoutMs: 30_000, timeoutMs: 30_000 };

describe("exchange", () => {
  test("resolves with all that was sent up to the end of the stream, in however many pieces", async () => {
    await using fake = await startFakeClamd({ scan: () => answer("stream", ": ", "OK", "\0") });
    const reply = await exchange(instreamBytes(Buffer.from("a body")), { ...limits, address: fake.address });
    assert.equal(Buffer.from(reply).toString(), "stream: OK\0");
    assert.deepEqual(fake.bodies, [Buffer.from("a body")]);
  });

  test("resolves with nothing where nothing was answered", async () => {
    await using fake = await startFakeClamd({ scan: () => answer() });
    assert.equal((await exchange(instreamBytes(Buffer.from("x")), { ...limits, address: fake.address })).length, 0);
  });

  test("takes as many bytes as any reply can have, and no more", async () => {
    for (const [size, isTaken] of [
      [maxReplyBytes - 1, true],
      [maxReplyBytes, true],
      [maxReplyBytes + 1, false],
    ] as const) {
      await using fake = await startFakeClamd({ scan: () => answer("x".repeat(size)) });
      const reply = exchange(instreamBytes(Buffer.from("x")), { ...limits, address: fake.address });
      if (isTaken) assert.equal((await reply).length, size);
      else assert.equal(await faultOf(reply), "nonsense");
    }
  });

  test("cannot reach a port where nobody listens, nor a socket that is not there, nor one whose name is too long", async () => {
    await using fake = await startFakeClamd();
    await fake.kill();
    await using directory = await scratchDirectory();
    const path = join(directory.path, "none.sock");
    for (const address of [
      fake.address,
      { kind: "unix", path } as const,
      { kind: "unix", path: path.padEnd(200, "x") } as const,
    ]) {
      assert.equal(await faultOf(exchange(versionCommand, { ...limits, address })), "unreached");
    }
  });

  test("gives up on a connection that nobody accepts, within its time", async () => {
    await using deaf = await startDeafListener();
    const startedAt = performance.now();
    const fault = faultOf(exchange(versionCommand, { ...limits, connectTimeoutMs: 100, address: deaf.address }));
    assert.equal(await fault, "unreached");
    // The system would try for two minutes.
    assert.equal(performance.now() - startedAt < 10_000, true);
  });

  test("is late where no answer comes, or no end of it", async () => {
    for (const act of [stall, { kind: "linger", pieces: ["stream: OK\0"] } as const]) {
      await using fake = await startFakeClamd({ scan: () => act });
      const reply = exchange(instreamBytes(Buffer.from("x")), { ...limits, timeoutMs: 100, address: fake.address });
      assert.equal(await faultOf(reply), "late");
    }
  });

  test("is late where nobody reads what it sends", async () => {
    await using server = await startUnread();
    const body = instreamBytes(Buffer.alloc(64 * 1024 * 1024));
    assert.equal(await faultOf(exchange(body, { ...limits, timeoutMs: 200, address: server.address })), "late");
  });

  test("is cut where the connection breaks, and keeps what had come", async () => {
    await using fake = await startFakeClamd({ scan: () => reset("stream: O") });
    await assert.rejects(exchange(instreamBytes(Buffer.from("x")), { ...limits, address: fake.address }), (error) => {
      assert.ok(error instanceof ExchangeError);
      assert.equal(error.fault, "cut");
      assert.equal(Buffer.from(error.received).toString(), "stream: O");
      return true;
    });
  });

  test("stops sending once it is answered, and ends the body it was sending", async () => {
    const refusal = answer("INSTREAM size limit exceeded. ERROR\0");
    await using fake = await startFakeClamd({ refuseEarly: { afterBytes: 1000, act: refusal } });
    let hasEnded = false;
    async function* endless(): AsyncGenerator<Uint8Array[]> {
      try {
        yield [Buffer.from("zINSTREAM\0")];
        for (;;) yield [Buffer.from([0, 0, 0x10, 0]), Buffer.alloc(0x1000)];
      } finally {
        hasEnded = true;
      }
    }
    await assert.rejects(exchange(endless(), { ...limits, address: fake.address }), ExchangeError);
    assert.equal(hasEnded, true);
  });

  test("asks for the next pieces only when those before have left this process", async () => {
    const pieceBytes = 4 * 1024 * 1024;
    await using fake = await startFakeClamd({ scan: () => answer("stream: OK\0") });
    const sockets: Socket[] = [];
    const dial: ExchangeOptions["dial"] = (address) => {
      const socket = dialClamd(address);
      sockets.push(socket);
      return socket;
    };
    const left: number[] = [];
    async function* request(): AsyncGenerator<Uint8Array[]> {
      yield [Buffer.from("zINSTREAM\0")];
      for (let index = 0; index < 5; index += 1) {
        left.push(sockets[0]?.writableLength ?? -1);
        yield [Buffer.from([0, 0x40, 0, 0]), Buffer.alloc(pieceBytes, index)];
      }
      left.push(sockets[0]?.writableLength ?? -1);
      yield [Buffer.alloc(4)];
    }
    await exchange(request(), { ...limits, dial, address: fake.address });
    assert.deepEqual(left, Array(6).fill(0));
    assert.equal(fake.bodies[0]?.length, 5 * pieceBytes);
  });

  test("passes on what the request itself throws, whether or not anything was sent", async () => {
    await using fake = await startFakeClamd();
    const fault = new Error("the disk is gone");
    async function* broken(pieces: number): AsyncGenerator<Uint8Array[]> {
      for (let index = 0; index < pieces; index += 1) yield [Buffer.from("zINSTREAM\0")];
      throw fault;
    }
    for (const pieces of [0, 1]) {
      await assert.rejects(exchange(broken(pieces), { ...limits, address: fake.address }), (thrown) => thrown === fault);
    }
    assert.deepEqual(fake.bodies, []);
  });

  test("rejects with the signal's reason at any stage, and leaves no listener on it", async () => {
    await using deaf = await startDeafListener();
    await using fake = await startFakeClamd({ scan: () => stall });
    await using unread = await startUnread();
    const stages = [
      { address: deaf.address, request: versionCommand, isReached: async () => {} },
      { address: fake.address, request: instreamBytes(Buffer.from("x")), isReached: () => fake.received(1) },
      { address: unread.address, request: instreamBytes(Buffer.alloc(64 * 1024 * 1024)), isReached: unread.connected },
    ];
    for (const { address, request, isReached } of stages) {
      const abort = new AbortController();
      const reply = exchange(request, { ...limits, address, signal: abort.signal });
      await isReached();
      abort.abort("enough");
      await assert.rejects(reply, (thrown) => thrown === "enough");
      assert.equal(getEventListeners(abort.signal, "abort").length, 0);
    }
    const before = exchange(versionCommand, { ...limits, address: deaf.address, signal: AbortSignal.abort("early") });
    await assert.rejects(before, (thrown) => thrown === "early");
  });

  test("closes its connection and clears its timers however it ends", async () => {
    const acts: FakeClamdOptions[] = [
      { scan: () => answer("stream: OK\0") },
      { scan: () => reset("stream: OK\0") },
      { scan: () => answer("x".repeat(20_000)) },
      { refuseEarly: { afterBytes: 10, act: answer("no") } },
    ];
    for (const options of acts) {
      await using fake = await startFakeClamd(options);
      const sockets: Socket[] = [];
      const dial: ExchangeOptions["dial"] = (address) => {
        const socket = dialClamd(address);
        sockets.push(socket);
        return socket;
      };
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
      const before = timers();
      await exchange(instreamBytes(Buffer.alloc(1000)), { ...limits, dial, address: fake.address }).catch(() => {}); // either way
      assert.equal(timers(), before);
      assert.deepEqual(
        sockets.map(({ destroyed }) => destroyed),
        [true],
      );
      await eventually("the fake has no connection left", () => fake.open() === 0);
    }
  });
});

describe("instreamFile", () => {
  const sent = async (pieces: readonly Uint8Array[], size: number) => {
    const written: Uint8Array[] = [];
    const body = fakeBody({ size, read: pieces });
    for await (const batch of instreamFile(body)) written.push(...batch);
    return Buffer.concat(written).toString("latin1");
  };

  test("frames each piece by its length and ends with a length of nothing", async () => {
    assert.equal(await sent([Buffer.from("abc"), Buffer.from("d")], 4), "zINSTREAM\0\0\0\0\x03abc\0\0\0\x01d\0\0\0\0");
  });

  test("leaves out empty pieces, which would be the end of the body to clamd", async () => {
    const pieces = ["a", "", "b"].map((text) => Buffer.from(text));
    assert.equal(await sent(pieces, 2), "zINSTREAM\0\0\0\0\x01a\0\0\0\x01b\0\0\0\0");
  });

  test("frees each piece when it has been sent, and sends all of it before", async () => {
    await using fake = await startFakeClamd();
    const whole = sampleBytes(3_000_000);
    const pieces: Uint8Array[] = [];
    async function* read(): AsyncGenerator<Uint8Array> {
      for (let start = 0; start < whole.length; start += 256 * 1024) {
        const piece = Buffer.allocUnsafeSlow(Math.min(256 * 1024, whole.length - start));
        piece.set(whole.subarray(start, start + piece.length));
        pieces.push(piece);
        yield piece;
      }
    }
    const body = { ...fakeBody({ size: whole.length }), read };
    await exchange(instreamFile(body), { ...limits, address: fake.address });
    assert.equal(fake.bodies[0]?.equals(whole), true);
    assert.deepEqual(
      pieces.map(({ length }) => length),
      Array(12).fill(0),
    );
  });

  test("throws before the end where there are fewer or more bytes than the body has", async () => {
    await assert.rejects(sent([Buffer.from("abc")], 4), /the body has 4 bytes, but 3 could be read/);
    await assert.rejects(sent([Buffer.from("abc")], 2), /the body has 2 bytes, but 3 could be read/);
  });
});

async function faultOf(reply: Promise<unknown>): Promise<string> {
  try {
    await reply;
    return "none";
  } catch (error) {
    assert.ok(error instanceof ExchangeError, String(error));
    return error.fault;
  }
}

/** Accepts connections and reads nothing. */
async function startUnread() {
  const sockets = new Set<Socket>();
  const first = Promise.withResolvers<void>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket.on("error", () => {})); // it is cut at the end
    first.resolve();
  });
  const port = await listening(server);
  return {
    address: { kind: "tcp", host: "127.0.0.1", port } as const,
    connected: () => first.promise,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

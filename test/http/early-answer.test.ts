import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { truncate, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { Readable } from "node:stream";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { answerEarly, type LingerBounds, type LingerOutcome } from "../../src/http/linger.ts";
import { RequestBody } from "../../src/http/request-body.ts";
import { suiteDirectory } from "../scratch-directory.ts";
import { answer, RawClient, serve } from "./exchange.ts";
import { frame, Http2Bytes } from "./http2-bytes.ts";

const mebibyte = 1024 * 1024;
const size = 64 * mebibyte;
const generous: LingerBounds = { maxMs: 60_000, idleMs: 60_000, maxBytes: size };
const text = '{"Status":"ERROR"}';

/** Answers each POST with 413, before it has read a byte or behind the first `readFirst` of them, and each GET with 200. */
async function refusingServer(version: 1 | 2, bounds: LingerBounds, readFirst = 0) {
  const outcomes: Promise<LingerOutcome>[] = [];
  let wake: (() => void) | undefined;
  const server = await serve(version, async (request, response) => {
    if (request.method === "GET") return answer(response, 200, "still here");
    const body = new RequestBody(request, { idleTimeoutMs: 60_000, minBytesPerSecond: 0 });
    const chunks = body[Symbol.asyncIterator]();
    // Left before its end, as by a scan that fails.
    for (let length = 0; length < readFirst; ) length += (await chunks.next()).value?.length ?? readFirst;
    body.leave();
    const headers = { "content-type": "application/json" };
    outcomes.push(answerEarly(request, response, { status: 413, headers, body: text }, bounds));
    wake?.();
  });
  return Object.assign(server, {
    async outcome(): Promise<LingerOutcome> {
      while (outcomes.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return (await outcomes.shift()) ?? assert.fail();
    },
  });
}

function post(length: number | "chunked", more = ""): string {
  const framing = length === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${length}`;
  return `POST / HTTP/1.1\r\nHost: x\r\n${framing}\r\n${more}\r\n`;
}

const refused = /^HTTP\/1\.1 413 [\s\S]*\r\n\r\n\{"Status":"ERROR"\}$/;
const closing = /\r\nconnection: close\r\n/i;

for (const readFirst of [0, mebibyte]) {
  describe(`answerEarly over HTTP/1 after ${readFirst} bytes`, () => {
    test("is read by a client that sends all 64 MiB first, and the connection goes on", async () => {
      await using server = await refusingServer(1, generous, readFirst);
      using client = new RawClient(server.port);
      for (let turn = 0; turn < 2; turn += 1) {
        await client.send(post(size));
        await client.send(Buffer.alloc(size));
        const said = await client.readUntil(refused);
        assert.doesNotMatch(said, closing);
        assert.equal(await server.outcome(), "drained");
      }
      await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await client.readUntil(/^HTTP\/1\.1 200 [\s\S]*still here$/);
    });

    test("is read by a client that asked for the connection to be closed", async () => {
      await using server = await refusingServer(1, generous, readFirst);
      using client = new RawClient(server.port);
      await client.send(post(size, "Connection: close\r\n"));
      await client.send(Buffer.alloc(size));
      await client.readUntil(refused);
      assert.equal(await server.outcome(), "drained");
      await client.closed();
      assert.equal(client.socket.readableEnded, true);
    });

    test("is read by a client that stops in the middle and reads", async () => {
      await using server = await refusingServer(1, { ...generous, idleMs: 400 }, readFirst);
      using client = new RawClient(server.port);
      await client.send(post(size));
      await client.send(Buffer.alloc(size / 2));
      await client.readUntil(refused);
      assert.equal(await server.outcome(), "cut");
      await client.closed();
      assert.equal(client.socket.readableEnded, true, "closed without a reset");
    });

    test("is read by a client that half-closes in the middle", async () => {
      await using server = await refusingServer(1, generous, readFirst);
      using client = new RawClient(server.port);
      await client.send(post(size));
      await client.send(Buffer.alloc(size / 2));
      client.socket.end();
      await client.readUntil(refused);
      assert.equal(await server.outcome(), "gone");
      await client.closed();
    });

    test("is read by a client that sends 64 MiB in chunks", async () => {
      await using server = await refusingServer(1, { ...generous, maxBytes: 65 * mebibyte }, readFirst);
      using client = new RawClient(server.port);
      await client.send(post("chunked"));
      const chunk = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(mebibyte), Buffer.from("\r\n")]);
      for (let count = 0; count < 64; count += 1) await client.send(chunk);
      await client.send("0\r\n\r\n");
      await client.readUntil(refused);
      assert.equal(await server.outcome(), "drained");
    });

    for (const maxBytes of [size, 10 * mebibyte]) {
      test(`is read by fetch, from a buffer and from a stream, when ${maxBytes} are discarded`, async () => {
        await using server = await refusingServer(1, { ...generous, maxBytes }, readFirst);
        for (const body of [new Uint8Array(size), ReadableStream.from(mebibytes())]) {
          const response = await fetch(server.url, { method: "POST", body, duplex: "half" });
          assert.equal(response.status, 413);
          assert.equal(await response.text(), text);
        }
      });
    }
  });
}

describe("answerEarly's bounds", () => {
  test("let a body of maxBytes pass and tell a client with a longer one that the connection closes", async () => {
    for (const [length, outcome] of [
      [999, "drained"],
      [1_000, "drained"],
      [1_001, "cut"],
    ] as const) {
      await using server = await refusingServer(1, { ...generous, maxBytes: 1_000 });
      using client = new RawClient(server.port);
      await client.send(post(length));
      await client.send(Buffer.alloc(length));
      const said = await client.readUntil(refused);
      assert.equal(closing.test(said), outcome === "cut");
      assert.equal(await server.outcome(), outcome);
    }
  });

  test("cut a client that never stops after maxBytes", async () => {
    await using server = await refusingServer(1, { ...generous, maxBytes: 10 * mebibyte });
    using client = new RawClient(server.port);
    await client.send(post("chunked"));
    await client.readUntil(refused);
    const chunk = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(mebibyte), Buffer.from("\r\n")]);
    await assert.rejects(async () => {
      for (;;) await client.send(chunk);
    });
    assert.equal(await server.outcome(), "cut");
    assert.ok(client.socket.bytesWritten < size);
  });

  test("cut a client that never stops after maxMs, however little it sends", async () => {
    await using server = await refusingServer(1, { ...generous, maxMs: 100 });
    using client = new RawClient(server.port);
    await client.send(post("chunked"));
    await client.readUntil(refused);
    const trickle = setInterval(() => client.socket.write("1\r\nx\r\n"), 5);
    try {
      assert.equal(await server.outcome(), "cut");
      await client.closed();
    } finally {
      clearInterval(trickle);
    }
  });

  test("end with a client that leaves", async () => {
    await using server = await refusingServer(1, generous);
    using client = new RawClient(server.port);
    await client.send(post(size));
    await client.readUntil(refused);
    client.socket.resetAndDestroy();
    assert.equal(await server.outcome(), "gone");
  });

  test("do not matter to a request without a body", async () => {
    await using server = await refusingServer(1, { maxMs: 1, idleMs: 1, maxBytes: 0 });
    using client = new RawClient(server.port);
    await client.send(post(0));
    await client.readUntil(refused);
    assert.equal(await server.outcome(), "drained");
  });
});

for (const readFirst of [0, mebibyte]) {
  describe(`answerEarly over HTTP/2 after ${readFirst} bytes`, () => {
    test("is read by a client that sends all 64 MiB, and the session goes on", async () => {
      await using server = await refusingServer(2, generous, readFirst);
      const session = connectHttp2(server.url);
      try {
        const stream = session.request({ ":method": "POST", ":path": "/" });
        const head = statusOf(stream);
        // In pieces: a session of Node's client refuses to hold 64 MiB of its own.
        Readable.from(mebibytes()).pipe(stream);
        assert.equal(await head, 413);
        assert.equal(await textOf(stream), text);
        assert.equal(await server.outcome(), "drained");
        const next = session.request({ ":path": "/" });
        assert.equal(await statusOf(next), 200);
        assert.equal(await textOf(next), "still here");
      } finally {
        session.destroy();
      }
    });

    test("is read by a client that never stops, whose stream alone is cut", async () => {
      await using server = await refusingServer(2, { ...generous, maxBytes: 10 * mebibyte }, readFirst);
      const session = connectHttp2(server.url);
      try {
        const stream = session.request({ ":method": "POST", ":path": "/" }, { endStream: false });
        const closed = new Promise((resolve) => stream.on("close", resolve));
        const head = statusOf(stream);
        const more = (): void => void (stream.destroyed || stream.closed || stream.write(Buffer.alloc(mebibyte), more));
        more();
        assert.equal(await head, 413);
        assert.equal(await textOf(stream), text);
        assert.equal(await server.outcome(), "cut");
        await closed;
        assert.equal(stream.rstCode, 0);
        const next = session.request({ ":path": "/" });
        assert.equal(await statusOf(next), 200);
        next.resume();
      } finally {
        session.destroy();
      }
    });
  });
}

describe("answerEarly over HTTP/2", () => {
  test("cuts a stream that idles", async () => {
    await using server = await refusingServer(2, { ...generous, idleMs: 40 });
    using client = new Http2Bytes(server.port);
    await client.post();
    await client.send(frame.data(Buffer.alloc(10)));
    assert.equal(await server.outcome(), "cut");
  });
});

describe("answerEarly to a client that has left", () => {
  for (const version of [1, 2] as const) {
    test(`is over at once over HTTP/${version}`, async () => {
      const outcome = Promise.withResolvers<LingerOutcome>();
      const started = Promise.withResolvers<void>();
      await using server = await serve(version, async (request, response) => {
        const closed = new Promise((resolve) => response.on("close", resolve));
        started.resolve();
        const body = new RequestBody(request, { idleTimeoutMs: 60_000, minBytesPerSecond: 0 });
        await assert.rejects(body[Symbol.asyncIterator]().next());
        await closed;
        outcome.resolve(answerEarly(request, response, { status: 413, headers: {}, body: text }, generous));
      });
      using client = new Http2Bytes(server.port);
      if (version === 1) await client.send(post(size));
      else await client.post();
      await started.promise;
      client.socket.resetAndDestroy();
      assert.equal(await outcome.promise, "gone");
    });
  }
});

describe("answerEarly and curl", () => {
  const folder = suiteDirectory();
  let file = "";
  before(async () => {
    file = folder.at("body");
    await writeFile(file, "");
    await truncate(file, size);
  });

  for (const [name, version, options] of [
    ["HTTP/1.1", 1, ["--http1.1"]],
    ["HTTP/1.1 without Expect", 1, ["--http1.1", "-H", "Expect:"]],
    ["HTTP/1.1 in chunks", 1, ["--http1.1", "-H", "Transfer-Encoding: chunked", "-H", "Expect:"]],
    ["HTTP/1.0", 1, ["--http1.0"]],
    ["h2c by prior knowledge", 2, ["--http2-prior-knowledge"]],
  ] as const) {
    for (const readFirst of [0, mebibyte]) {
      for (const maxBytes of [size, 10 * mebibyte]) {
        test(`is read over ${name} after ${readFirst} bytes when ${maxBytes} are discarded`, async () => {
          await using server = await refusingServer(version, { ...generous, maxBytes }, readFirst);
          const command = ["-sS", ...options, "-w", "\n%{http_code}", "-F", `file=@${file}`, server.url];
          const { stdout } = await promisify(execFile)("curl", command);
          assert.equal(stdout, `${text}\n413`);
        });
      }
    }
  }
});

function* mebibytes(): Generator<Buffer, void, undefined> {
  for (let sent = 0; sent < size; sent += mebibyte) yield Buffer.alloc(mebibyte);
}

function statusOf(stream: ReturnType<ReturnType<typeof connectHttp2>["request"]>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    stream.on("response", (headers) => resolve(headers[":status"]));
    stream.on("error", reject);
  });
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  let read = "";
  for await (const chunk of stream) read += chunk.toString("utf8");
  return read;
}

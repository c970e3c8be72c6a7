import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseIpRange } from "../../../src/codec/ip-address.ts";
import { ok, stall } from "../../fake/origin.ts";
import { eventually } from "../../process/stage.ts";
import { openProxy, virusMark } from "./proxy-stage.ts";
import { ask, RawClient, requestText } from "./raw-client.ts";

describe("the request line", () => {
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]) {
    test(`with ${method} is 405 (P8)`, async () => {
      await using proxy = await openProxy(() => ok("x"));
      const answer = await proxy.get("/x", [], { method });
      assert.deepEqual([answer.status, answer.header("allow")], [405, "GET, HEAD"]);
      assert.equal(answer.body.toString(), '{"detail":"Method Not Allowed"}');
      assert.equal(proxy.origin.requests.length, 0);
    });
  }

  test("makes no open proxy of it: CONNECT, OPTIONS * and absolute forms are refused (P8)", async () => {
    await using proxy = await openProxy(() => ok("x"));
    const from = `Download-From: ${proxy.base}`;
    for (const [line, status] of [
      [`CONNECT 127.0.0.1:${proxy.origin.port} HTTP/1.1`, 405],
      ["OPTIONS * HTTP/1.1", 405],
      [`GET ${proxy.base}x HTTP/1.1`, 400],
      ["GET http://h/x HTTP/1.1", 400],
      ["GET * HTTP/1.1", 400],
      ["GET x HTTP/1.1", 400],
    ] as const) {
      const answer = await ask(proxy.port, `${line}\r\nHost: h\r\nConnection: close\r\n${from}\r\n\r\n`);
      assert.equal(answer.status, status, line);
      assert.match(answer.body.toString(), /^\{"detail":"[^"]+"\}$/);
    }
    assert.equal(proxy.origin.accepted(), 0);
  });

  test("says of a target in raw UTF-8 that it belongs encoded", async () => {
    await using proxy = await openProxy(() => ok("x"));
    const answer = await ask(proxy.port, `GET /é HTTP/1.1\r\nHost: h\r\nDownload-From: ${proxy.base}\r\n\r\n`);
    assert.equal(answer.status, 400);
    assert.match(answer.body.toString(), /percent-encoded/);
  });

  for (const path of ["/docs", "/health", "/metrics", "/openapi.json", "/livez", "/readyz", "/v2/scan", "/", "/favicon.ico"]) {
    test(`with ${path} is the proxy's (P9)`, async () => {
      await using proxy = await openProxy((request) => ok(request.path));
      assert.equal((await proxy.get(path)).body.toString(), path);
    });
  }

  for (const path of [
    "//evil/x",
    "///evil/x",
    "/http://evil/x",
    "/http:%2F%2Fevil/x",
    "/\\\\evil",
    "/../x",
    "/a/%2e%2e/%2e%2e/x",
  ]) {
    test(`with ${path} does not leave Download-From (P3)`, async () => {
      await using proxy = await openProxy((request) => ok(request.path));
      const answer = await ask(proxy.port, requestText(path, [`Download-From: ${proxy.base}base/dir/`]));
      assert.equal(answer.status, 400);
      assert.equal(proxy.origin.accepted(), 0);
    });
  }

  test("with what looks like a scheme is a path (P3)", async () => {
    await using proxy = await openProxy((request) => ok(request.path));
    assert.equal((await proxy.get("/a:b/c")).body.toString(), "/a:b/c");
  });
});

describe("Download-From (P4)", () => {
  for (const value of [
    "",
    "x",
    "ftp://h/",
    "file:///etc/passwd",
    "http://",
    "//h/",
    "http://user@h/",
    "http://h/#x",
    "http://h h/",
    "javascript:1",
  ]) {
    test(`of ${JSON.stringify(value)} is 400`, async () => {
      await using proxy = await openProxy(() => ok("x"));
      const answer = await ask(proxy.port, requestText("/x", [`Download-From: ${value}`]));
      assert.equal(answer.status, 400);
      assert.match(answer.body.toString(), /^\{"detail":"[^"]+"\}$/);
      assert.equal(answer.header("content-type"), "application/json");
    });
  }

  test("twice is 400, also when both are the same", async () => {
    await using proxy = await openProxy(() => ok("x"));
    assert.equal((await proxy.get("/x", [`download-from: ${proxy.base}`])).status, 400);
  });

  test("is taken from trusted peers only, and from everybody where none are listed (P12)", async () => {
    const range = (text: string) => {
      const parsed = parseIpRange(text);
      assert.ok(parsed !== null);
      return parsed;
    };
    await using open = await openProxy(() => ok("x"), { front: { trustedPeers: [range("10.0.0.0/8"), range("127.0.0.1/32")] } });
    assert.equal((await open.get("/x")).status, 200);
    await using closed = await openProxy(() => ok("x"), { front: { trustedPeers: [range("10.0.0.0/8")] } });
    assert.equal((await closed.get("/x")).status, 403);
    assert.equal(closed.origin.accepted(), 0);
    assert.equal(closed.events.filter(({ kind }) => kind === "download-denied").length, 1);
  });
});

describe("a connection", () => {
  test("is kept, and answers pipelined requests in their order, one at a time (P50)", async () => {
    await using proxy = await openProxy(({ path }) => ok(path === "/2" ? virusMark : path));
    proxy.engine.answerAll(null);
    using client = new RawClient(proxy.port);
    client.send(["/1", "/2", "/3"].map((path) => proxy.text(path, ["Connection: keep-alive"])).join("") + proxy.text("/4"));
    for (const [index, expected] of ["/1", null, "/3", "/4"].entries()) {
      const scan = await proxy.engine.scanBegun(index + 1);
      assert.equal(proxy.origin.requests.length, index + 1);
      scan.finish(expected === null ? { kind: "infected", signatures: ["X"] } : { kind: "clean" });
      const answer = await client.answer();
      assert.deepEqual(
        [answer.status, expected === null || answer.body.toString() === expected],
        [expected === null ? 409 : 200, true],
      );
    }
    assert.equal(await client.closed(), "ended");
  });

  test("is kept after errors and after HEAD", async () => {
    await using proxy = await openProxy(() => ok("x"));
    using client = new RawClient(proxy.port);
    const alive = ["Connection: keep-alive"];
    client.send(requestText("/x", alive));
    assert.equal((await client.answer()).status, 400);
    client.send(proxy.text("/x", alive, { method: "HEAD" }));
    assert.equal((await client.answer({ isHead: true })).status, 200);
    client.send(proxy.text("/x", alive, { method: "POST" }));
    assert.equal((await client.answer()).status, 405);
    client.send(proxy.text("/x", alive));
    assert.equal((await client.answer()).status, 200);
  });

  test("that has been idle for its time is not ended where a request has come", async () => {
    await using proxy = await openProxy(() => ok("x"));
    const served = servedSocket(proxy.port);
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x", ["Connection: keep-alive"]));
    assert.equal((await client.answer()).status, 200);
    const socket = await served;
    await delay(1); // to where timers are, as Node's own would be, which takes longer than a test
    client.send(proxy.text("/x", ["Connection: keep-alive"]));
    socket.emit("timeout");
    assert.equal((await client.answer()).status, 200);
    socket.emit("timeout");
    await client.closed();
  });

  test("with more requests ahead than anybody needs is cut", async () => {
    await using proxy = await openProxy(() => stall());
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x", ["Connection: keep-alive"]).repeat(150));
    await client.closed();
    assert.ok(proxy.origin.requests.length <= 1);
  });

  test("over HTTP/1.0 ends with its answer, or is kept where that was asked for", async () => {
    await using proxy = await openProxy(() => ok("x"));
    const lines = [`Download-From: ${proxy.base}`];
    const plain = `GET /x HTTP/1.0\r\n${lines[0]}\r\n\r\n`;
    using client = new RawClient(proxy.port);
    client.send(plain);
    assert.equal((await client.answer()).body.toString(), "x");
    assert.equal(await client.closed(), "ended");
    using kept = new RawClient(proxy.port);
    kept.send(`GET /x HTTP/1.0\r\nConnection: keep-alive\r\n${lines[0]}\r\n\r\n`);
    assert.equal((await kept.answer()).body.toString(), "x");
    kept.send(plain);
    assert.equal((await kept.answer()).body.toString(), "x");
  });

  test("whose client takes nothing is cut after a while, and its file is gone", async () => {
    await using proxy = await openProxy(() => ok(Buffer.alloc(3_000_000)), { front: { clientIdleTimeoutMs: 100 } });
    using client = new RawClient(proxy.port);
    client.socket.pause();
    // More than the kernel will keep for it.
    client.send(proxy.text("/x", ["Connection: keep-alive"]).repeat(20));
    await eventually("an answer has begun", () => proxy.downloads().length > 0);
    await eventually("the connection is cut", () => proxy.connections() === 0);
    assert.equal(proxy.spool.usage().bodies, 0);
    assert.ok(proxy.origin.requests.length < 20);
  });
});

/** The server's end of the next connection to that port that sends a request. */
function servedSocket(port: number): Promise<Socket> {
  const channel = "http.server.request.start";
  return new Promise((resolve) => {
    const look = (message: unknown) => {
      const { socket } = message as { readonly socket: Socket }; // as Node documents the channel
      if (socket.localPort !== port) return;
      unsubscribe(channel, look);
      resolve(socket);
    };
    subscribe(channel, look);
  });
}

describe("a head", () => {
  test("up to 16 KiB is read, more is 431 (P50)", async () => {
    await using proxy = await openProxy(() => ok("x"));
    assert.equal((await proxy.get("/x", [`X-Long: ${"a".repeat(15_000)}`])).status, 200);
    const answer = await proxy.get("/x", [`X-Long: ${"a".repeat(17_000)}`]);
    assert.equal(answer.status, 431);
    assert.match(answer.body.toString(), /^\{"detail":"[^"]+"\}$/);
    assert.equal((await proxy.get(`/${"a".repeat(17_000)}`)).status, 431);
  });

  for (const [name, text] of [
    ["that is no HTTP", "hello\r\n\r\n"],
    ["with two lengths", "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["with a blank before a colon", "GET /x HTTP/1.1\r\nHost : h\r\n\r\n"],
    ["with a NUL", "GET /x HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"],
    ["with a folded line", "GET /x HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"],
    ["without Host", "GET /x HTTP/1.1\r\nConnection: close\r\n\r\n"],
  ] as const) {
    test(`${name} is 400`, async () => {
      await using proxy = await openProxy(() => ok("x"));
      using client = new RawClient(proxy.port);
      client.send(text);
      const answer = await client.answer();
      assert.equal(answer.status, 400);
      assert.match(answer.body.toString(), /^\{"detail":"[^"]+"\}$/);
      assert.equal(proxy.origin.accepted(), 0);
    });
  }

  test("that is broken behind a request that waits is answered behind it", async () => {
    await using proxy = await openProxy(() => ok("x"));
    proxy.engine.answerAll(null);
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x", ["Connection: keep-alive"]));
    const scan = await proxy.engine.scanBegun(1);
    client.send("nonsense\r\n\r\n");
    scan.finish({ kind: "clean" });
    assert.equal((await client.answer()).status, 200);
    assert.equal((await client.answer()).status, 400);
    assert.equal(await client.closed(), "ended");
  });

  test("that never ends is answered 408 in time", async () => {
    await using proxy = await openProxy(() => ok("x"), {
      front: { limits: { headersTimeoutMs: 100, keepAliveTimeoutMs: 1000, maxHeaderBytes: 16_384, maxConnections: 0 } },
    });
    using client = new RawClient(proxy.port);
    client.send("GET /x HTTP/1.1\r\nHost: h\r\nX: ");
    assert.equal((await client.answer()).status, 408);
  });
});

describe("a body with a GET (P50)", () => {
  for (const size of [1, 65_535, 65_536]) {
    test(`of ${size} bytes is ignored, and the connection goes on`, async () => {
      await using proxy = await openProxy(() => ok("x"));
      using client = new RawClient(proxy.port);
      client.send(`${proxy.text("/x", ["Connection: keep-alive", `Content-Length: ${size}`])}${"b".repeat(size)}`);
      assert.equal((await client.answer()).status, 200);
      client.send(`${proxy.text("/x", ["Connection: keep-alive", "Transfer-Encoding: chunked"])}3\r\nabc\r\n0\r\n\r\n`);
      assert.equal((await client.answer()).status, 200);
      assert.equal(proxy.origin.requests[0]?.header("content-length"), undefined);
    });
  }

  test("of more is 413, declared or not, and readable by a client that sends on", async () => {
    await using proxy = await openProxy(() => ok("x"));
    for (const [line, body] of [
      ["Content-Length: 65537", "b".repeat(65_537)],
      ["Content-Length: 99999999999", "b".repeat(300_000)],
      ["Transfer-Encoding: chunked", `1000\r\n${"b".repeat(4096)}\r\n`.repeat(20)],
    ] as const) {
      using client = new RawClient(proxy.port);
      client.send(proxy.text("/x", ["Connection: keep-alive", line]) + body);
      assert.equal((await client.answer()).status, 413);
    }
    assert.equal(proxy.origin.accepted(), 0);
  });
});

describe("the end of the server (P76)", () => {
  test("drain lets what runs be answered", async () => {
    await using proxy = await openProxy(() => ok("hello"));
    proxy.engine.answerAll(null);
    const answering = proxy.get("/x", ["Connection: keep-alive"]);
    const scan = await proxy.engine.scanBegun(1);
    const drained = proxy.drain();
    scan.finish({ kind: "clean" });
    const answer = await answering;
    assert.deepEqual([answer.body.toString(), answer.header("connection")], ["hello", "close"]);
    await drained;
  });

  test("close answers 503 to whoever waits, and frees everything", async () => {
    await using proxy = await openProxy(({ path }) => (path === "/stall" ? stall() : ok("hello")));
    proxy.engine.answerAll(null);
    const answering = [proxy.get("/x"), proxy.get("/stall")];
    await proxy.engine.scanBegun(1);
    await eventually("both run", () => proxy.origin.requests.length === 2);
    await proxy.close();
    for (const { status, header } of await Promise.all(answering)) assert.deepEqual([status, header("retry-after")], [503, "5"]);
  });
});

describe("the line of a request (P77)", () => {
  test("tells what happened, without query and credentials", async () => {
    await using proxy = await openProxy(({ path }) => ok(path.startsWith("/v") ? virusMark : "hello"));
    await proxy.get("/x?token=secret", ["Authorization: Basic secret", "Cache-Scan: true"]);
    await proxy.get("/v?token=secret");
    await ask(proxy.port, requestText("/x"));
    await eventually("all are told of", () => proxy.downloads().length === 3);
    assert.doesNotMatch(JSON.stringify(proxy.events), /secret/);
    const [passed, blocked, failed] = proxy.downloads();
    assert.deepEqual(
      [passed?.url, passed?.status, passed?.outcome, passed?.size, passed?.cache, passed?.mode],
      [`${proxy.base}x`, 200, "delivered", 5, "miss", "strict"],
    );
    assert.deepEqual(
      [blocked?.url, blocked?.status, blocked?.outcome, blocked?.cache],
      [`${proxy.base}v`, 409, "blocked", "off"],
    );
    assert.deepEqual([failed?.url, failed?.status, failed?.outcome, failed?.code], [null, 400, "failed", "malformed"]);
  });
});

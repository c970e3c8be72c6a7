import assert from "node:assert/strict";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { describe, test } from "node:test";
import Fastify from "fastify";
import { restFront } from "../../../src/front/rest/front.ts";
import { createFakeScan } from "./fake-scan.ts";
import { clean, form, formType, infected } from "./form.ts";
import { exchange, frontOptions, maxBytes, request, startRest } from "./rest-server.ts";

interface Http2Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Uint8Array): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": "POST", ...headers }, { endStream: body === undefined });
    let answered: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on("response", (received) => {
      answered = received;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => resolve({ headers: answered, body: Buffer.concat(chunks).toString() }));
    if (body !== undefined) stream.end(body);
  });
}

function open(url: string): ClientHttp2Session & Disposable {
  const session = connect(url);
  return Object.assign(session, { [Symbol.dispose]: () => session.destroy() });
}

describe("HTTP/2 by prior knowledge (rest.md 64, 75)", () => {
  test("answers 200 and 406 as HTTP/1.1 does", async () => {
    await using server = await startRest();
    using session = open(server.url);
    for (const [files, status] of [
      [[clean], 200],
      [[infected], 406],
      [[clean, infected], 406],
    ] as const) {
      const body = form(...files);
      const second = await ask(session, { ":path": "/v2/scan", "content-type": formType }, body);
      assert.equal(second.headers[":status"], status);
      const first = await exchange(server.port, request("POST /v2/scan", { "content-type": formType }, body));
      assert.deepEqual([second.body, second.headers["content-type"]], [first.body, first.headers.get("content-type")]);
    }
  });

  test("names the authority in the deprecation's link (rest.md 31)", async () => {
    await using server = await startRest();
    using session = open(server.url);
    const { headers } = await ask(session, { ":path": "/scan", "content-type": formType }, form(clean));
    assert.equal(headers.link, `127.0.0.1:${server.port}/v2/scan; rel=successor-version`);
    assert.equal(headers.deprecation, "version=v1");
  });

  test("serves bodies, versions, wrong routes and preflights", async () => {
    await using server = await startRest({ front: { allowOrigins: ["*"] } });
    using session = open(server.url);
    assert.equal((await ask(session, { ":path": "/scanHandlerBody" }, Buffer.from("virus:H2"))).body, "{FOUND H2  406}");
    assert.match((await ask(session, { ":path": "/version", ":method": "GET" })).body, /^\{ "Clamav": "1\.4\.3", /);
    for (const [method, path, status] of [
      ["PUT", "/v2/scan", 405],
      ["GET", "/v2/scan", 405],
      ["POST", "/nope", 404],
      ["GET", "//version", 307],
      ["HEAD", "/", 200],
      ["HEAD", "/nope", 404],
      ["HEAD", "/scan", 405],
    ] as const) {
      const { headers } = await ask(session, { ":method": method, ":path": path });
      assert.equal(headers[":status"], status, `${method} ${path}`);
      assert.equal(headers.vary, path === "/" ? "Origin, Accept" : "Origin", `${method} ${path}`);
    }
    const preflight = {
      ":method": "OPTIONS",
      ":path": "/scan",
      origin: "https://a.test",
      "access-control-request-method": "POST",
    };
    const { headers } = await ask(session, preflight);
    assert.deepEqual([headers[":status"], headers["access-control-allow-origin"]], [204, "*"]);
  });

  test("answers a method that nobody knows with an error", async () => {
    await using server = await startRest();
    using session = open(server.url);
    for (const path of ["/v2/scan", "/nope"]) {
      assert.equal((await ask(session, { ":method": "BREW", ":path": path })).headers[":status"], 404);
    }
  });

  test("answers early to bodies that are too large or not wanted, and keeps the connection", async () => {
    await using server = await startRest();
    using session = open(server.url);
    const large = Buffer.alloc(20 * maxBytes);
    for (const [headers, status] of [
      [{ ":path": "/scanHandlerBody" }, 413],
      [{ ":path": "/scanHandlerBody", "content-length": large.length }, 413],
      [{ ":path": "/v2/scan", "content-type": "text/plain" }, 400],
      [{ ":path": "/nope" }, 404],
    ] as const) {
      assert.equal((await ask(session, headers, large)).headers[":status"], status, headers[":path"]);
    }
    assert.equal((await ask(session, { ":path": "/scanHandlerBody" }, Buffer.from("x"))).body, "{OK   200}");
  });

  test("survives streams that are reset at any point, and leaves nothing behind", async () => {
    await using server = await startRest();
    using session = open(server.url);
    const body = form(clean, infected);
    for (let length = 0; length < body.length; length += 37) {
      const stream = session.request({ ":method": "POST", ":path": "/v2/scan", "content-type": formType });
      stream.on("error", () => {});
      const closed = new Promise((resolve) => stream.on("close", resolve));
      stream.write(body.subarray(0, length), () => stream.close(8));
      await closed;
    }
    assert.equal((await ask(session, { ":path": "/v2/scan", "content-type": formType }, body)).headers[":status"], 406);
    assert.equal(server.fake.held(), 0);
  });
});

describe("the front on servers of Fastify's own", () => {
  test("answers over HTTP/2 alone", async () => {
    const server = Fastify({ http2: true });
    await server.register(restFront(frontOptions(createFakeScan({ maxBytes }), [], {})).plugin);
    const session = connect(await server.listen({ host: "127.0.0.1", port: 0 }));
    assert.equal((await ask(session, { ":path": "/scanHandlerBody" }, Buffer.from("virus:P"))).body, "{FOUND P  406}");
    session.destroy();
    await server.close();
  });

  test("answers over HTTP/1.1 alone", async () => {
    const server = Fastify();
    await server.register(restFront(frontOptions(createFakeScan({ maxBytes }), [], {})).plugin);
    const url = await server.listen({ host: "127.0.0.1", port: 0 });
    const response = await fetch(`${url}/scanHandlerBody`, { method: "POST", body: "virus:P", headers: { connection: "close" } });
    assert.deepEqual([response.status, await response.text()], [406, "{FOUND P  406}"]);
    await server.close();
  });
});

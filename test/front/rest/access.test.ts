import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import swagger from "@fastify/swagger";
import Fastify, { type FastifyPluginAsync } from "fastify";
import { parseIpRange } from "../../../src/codec/ip-address.ts";
import { opsRoutes } from "../../../src/front/ops/ops-routes.ts";
import { docs } from "../../../src/front/page/docs.ts";
import { loadPage } from "../../../src/front/page/page.ts";
import { scopeNeeded } from "../../../src/front/rest/access.ts";
import { restFront } from "../../../src/front/rest/front.ts";
import { accessFor, entryOf, keyOf } from "../../auth/known-clients.ts";
import { createFakeScan, realVersion } from "./fake-scan.ts";
import {
  exchange,
  frontOptions,
  maxBytes,
  parseAnswer,
  type RestServer,
  type RestServerOptions,
  request,
  startRest,
} from "./rest-server.ts";

const key = keyOf("7hq2m4xd");
const header = { authorization: `Bearer ${key}` };
const access = accessFor([
  entryOf("7hq2m4xd"),
  entryOf("ssssssss", { scopes: ["status"] }),
  entryOf("pppppppp", { scopes: ["scan:path"] }),
  entryOf("nnnnnnnn", { from: ["10.0.0.0/8"] }),
  entryOf("eeeeeeee", { notAfter: "2020-01-01T00:00:00Z" }),
]);

const ops = opsRoutes({
  readiness: () => ({ status: "ready", checks: [] }),
  metrics: async () => ({ contentType: "text/plain", body: "" }),
  engineVersion: () => realVersion,
  maxAgeHours: 1e6,
});

function startGuarded({ front = {}, ...options }: RestServerOptions = {}): Promise<RestServer> {
  return startRest({ ...options, front: { access, ...front }, beside: ops as NonNullable<RestServerOptions["beside"]> });
}

const file = "--b\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\nx\r\n--b--\r\n";
const form = { "content-type": "multipart/form-data; boundary=b" };

describe("the REST front with keys", () => {
  for (const [line, headers, body] of [
    ["POST /v2/scan", form, file],
    ["POST /scan", form, file],
    ["POST /scanHandlerBody", {}, "x"],
    ["POST /v3/scan", {}, "x"],
    ["GET /v3/verdicts/00", {}, ""],
    ["GET /scanFile?path=/etc/passwd", {}, ""],
    ["GET /scanPath?path=/etc", {}, ""],
    ["GET /version", {}, ""],
    ["GET /", {}, ""],
    ["GET /v3/status", {}, ""],
  ] as const) {
    test(`lets nobody without a key do ${line}, and says so in the shape of its route`, async () => {
      await using server = await startGuarded();
      for (const [shown, challenge] of [
        [{}, 'Bearer realm="clamgate"'],
        [{ authorization: `Bearer ${keyOf("unknown0")}` }, 'Bearer realm="clamgate", error="invalid_token"'],
        [{ "x-api-key": "cgk_7hq2m4xd_\tx" }, 'Bearer realm="clamgate", error="invalid_token"'],
        [{ "x-api-key": keyOf("eeeeeeee") }, 'Bearer realm="clamgate", error="invalid_token"'],
      ] as const) {
        const answer = await exchange(server.port, request(line, { ...headers, ...shown }, body));
        assert.equal(answer.status, 401);
        assert.equal(answer.headers.get("www-authenticate"), challenge);
        assert.equal(answer.headers.get("cache-control"), "no-store");
        const told: unknown = JSON.parse(answer.body);
        const isV3 = line.includes("/v3/");
        assert.equal(
          answer.headers.get("content-type"),
          isV3 ? "application/problem+json; charset=utf-8" : "application/json; charset=utf-8",
        );
        assert.ok(
          isV3
            ? told instanceof Object && "code" in told && told.code === "unauthenticated"
            : told instanceof Object && "Status" in told && told.Status === "ERROR",
        );
      }
      assert.equal(server.fake.calls.length, 0);
    });
  }

  test("answers 403 where the scope or the network is missing, 400 for two keys", async () => {
    await using server = await startGuarded();
    const ask = (line: string, id: string) => exchange(server.port, request(line, { "x-api-key": keyOf(id) }));
    const scope = await ask("GET /v3/verdicts/00", "ssssssss");
    assert.equal(scope.status, 403);
    assert.equal(scope.headers.get("www-authenticate"), 'Bearer realm="clamgate", error="insufficient_scope", scope="scan"');
    assert.match(scope.body, /"code":"forbidden"/);
    const network = await ask("POST /v2/scan", "nnnnnnnn");
    assert.equal(network.status, 403);
    assert.equal(network.body, '{"Status":"ERROR","Description":"The client may not come from this address"}');
    const two = await exchange(server.port, request("GET /version", { ...header, "x-api-key": keyOf("ssssssss") }));
    assert.equal(two.status, 400);
    assert.deepEqual(
      server.events.map((event) =>
        event.kind === "answered" ? event.who : event.kind === "access-refused" ? event.reason : event.kind,
      ),
      ["scope", "ssssssss", "network", "nnnnnnnn", "conflict", null],
    );
  });

  test("lets in who has what the route needs", async () => {
    await using server = await startGuarded();
    const ask = async (line: string, id: string, ...rest: readonly [Readonly<Record<string, string>>, string] | readonly []) => {
      const [headers = {}, body = ""] = rest;
      return (await exchange(server.port, request(line, { "x-api-key": keyOf(id), ...headers }, body))).status;
    };
    assert.equal(await ask("POST /v2/scan", "7hq2m4xd", form, file), 200);
    assert.equal(await ask("POST /v3/scan", "7hq2m4xd", {}, "x"), 200);
    assert.equal(await ask("GET /version", "ssssssss"), 200);
    assert.equal(await ask("GET /", "ssssssss"), 200);
    assert.equal(await ask("GET /scanFile?path=/etc/passwd", "pppppppp"), 403, "no directory is open");
    assert.equal(await ask("GET /version", "7hq2m4xd"), 403);
    assert.equal(await ask("GET /scanFile?path=/etc/passwd", "7hq2m4xd"), 403);
    assert.deepEqual([...new Set(server.events.map((event) => (event.kind === "answered" ? event.who : null)))].sort(), [
      "7hq2m4xd",
      null,
      "pppppppp",
      "ssssssss",
    ]);
  });

  test("takes no key from a query, and none from a cookie", async () => {
    await using server = await startGuarded();
    for (const answer of [
      await exchange(server.port, request(`GET /version?key=${key}&api_key=${key}&access_token=${key}`)),
      await exchange(server.port, request("GET /version", { cookie: `key=${key}; x-api-key=${key}` })),
    ]) {
      assert.equal(answer.status, 401);
    }
  });

  test("leaves open what probes, browsers and readers of its contract need", async () => {
    await using server = await startGuarded();
    for (const path of ["/livez", "/readyz", "/metrics", "/healthcheck", "/problems/unauthenticated"]) {
      assert.equal((await exchange(server.port, request(`GET ${path}`))).status, 200, path);
    }
    const unknown = await exchange(server.port, request("GET /nothing"));
    assert.equal(unknown.status, 404);
  });

  test("METRICS_AUTH closes /metrics and /healthcheck, and no probe", async () => {
    await using server = await startGuarded({ front: { areMetricsOpen: false } });
    const status = async (path: string, headers = {}) => (await exchange(server.port, request(`GET ${path}`, headers))).status;
    for (const path of ["/metrics", "/healthcheck"]) {
      assert.equal(await status(path), 401);
      assert.equal(await status(path, header), 403);
      assert.equal(await status(path, { "x-api-key": keyOf("ssssssss") }), 200);
    }
    for (const path of ["/livez", "/readyz"]) assert.equal(await status(path), 200);
  });

  test("a browser gets the page without a key, and no figures with it", async () => {
    const home = { status: 200, contentType: "text/html", body: "<h1>the page</h1>" };
    await using server = await startGuarded({ front: { home } });
    const page = await exchange(server.port, request("GET /", { accept: "text/html,*/*;q=0.8" }));
    assert.deepEqual([page.status, page.body], [200, home.body]);
    for (const accept of ["*/*", "application/json", "text/html;q=0"]) {
      assert.equal((await exchange(server.port, request("GET /", { accept }))).status, 401, accept);
    }
    assert.equal((await exchange(server.port, request("GET /version", { accept: "text/html" }))).status, 401);
  });

  for (const [what, decide] of [
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
  ] as const) {
    // With a query Fastify finds the route, without one it is not asked.
    for (const path of ["/scanHandlerBody", "/scanHandlerBody?x=1", "/v3/scan"]) {
      test(`is 500 where what decides ${what}, and lets nobody in: ${path}`, async () => {
        await using server = await startGuarded({ front: { access: { ...access, decide } } });
        const answer = await exchange(server.port, request(`POST ${path}`, header, "x"));
        assert.equal(answer.status, 500);
        assert.ok(!answer.body.includes("broken"));
        assert.equal(answer.body.includes("/problems/internal"), path === "/v3/scan");
        assert.equal(answer.headers.get("vary"), "Origin");
        assert.equal(server.fake.begun.length, 0);
        assert.equal((await exchange(server.port, request("GET /livez"))).status, 200);
      });
    }
  }

  test("every route that the gateway has is in the list of who needs what", async () => {
    const routes: string[] = [];
    const server = Fastify();
    server.addHook("onRoute", ({ url }) => void routes.push(url));
    await server.register(swagger);
    await server.register(restFront(frontOptions(createFakeScan({ maxBytes }), [], { access })).plugin);
    await server.register(ops as FastifyPluginAsync);
    const options = { retryAfterSeconds: 1, linger: { maxMs: 1, idleMs: 1, maxBytes: 1 }, trustedProxies: [], emit: () => {} };
    await server.register((await loadPage(options)).routes);
    await server.register(docs);
    await server.ready();
    assert.ok(routes.length > 20);
    assert.deepEqual(
      routes.filter((route) => scopeNeeded(route, true) === "admin"),
      [],
    );
    await server.close();
  });

  test("a route that nobody has thought of is for administrators", () => {
    assert.equal(scopeNeeded("/v9/new", true), "admin");
    assert.equal(scopeNeeded("", true), "admin");
    assert.equal(scopeNeeded("/docs/json", true), null);
  });

  test("asks for no body where nobody is known, and takes none", async () => {
    await using server = await startGuarded();
    const socket = connect(server.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.write(`POST /v3/scan HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${10 * 1024 ** 3}\r\n\r\n`);
    await closed;
    const { status, headers } = parseAnswer(Buffer.concat(chunks));
    assert.equal(status, 401, "no 100 Continue before it");
    assert.equal(headers.get("connection"), "close");
    assert.equal(server.fake.calls.length, 0);
  });

  test("answers a declared body of 10 GB by its head, however much of it comes", async () => {
    await using server = await startGuarded({ front: { linger: { maxMs: 1_000, idleMs: 500, maxBytes: 1024 * 1024 } } });
    const socket = connect(server.port, "127.0.0.1");
    socket.on("error", () => {}); // it is cut
    const answered = new Promise<string>((resolve) => socket.once("data", (chunk: Buffer) => resolve(chunk.toString("latin1"))));
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.write(
      `POST /v2/scan HTTP/1.1\r\nHost: x\r\nContent-Type: ${form["content-type"]}\r\nContent-Length: ${10 * 1024 ** 3}\r\n\r\n`,
    );
    assert.match(await answered, /^HTTP\/1\.1 401 /);
    const block = Buffer.alloc(64 * 1024);
    let sent = 0;
    while (!socket.destroyed && sent < 1024 ** 3) {
      if (!socket.write(block)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
      sent += block.length;
    }
    await closed;
    assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were taken`);
  });

  test("keeps the connection for the next request where the body was small", async () => {
    await using server = await startGuarded();
    const [one, two] = [
      request("POST /v2/scan", { ...form, connection: "keep-alive" }, file),
      request("POST /v2/scan", { ...form, ...header }, file),
    ];
    const { status, body } = await exchange(server.port, one, two);
    assert.equal(status, 401);
    assert.match(body, /HTTP\/1\.1 200 OK/);
  });

  test("keeps a client to its networks by the address that a trusted proxy gives", async () => {
    const loopback = parseIpRange("127.0.0.1");
    assert.ok(loopback !== null);
    await using server = await startGuarded({ front: { trustedProxies: [loopback] } });
    const from = async (address: string) =>
      (
        await exchange(
          server.port,
          request("GET /v3/verdicts/00", { "x-api-key": keyOf("nnnnnnnn"), "x-forwarded-for": address }),
        )
      ).status;
    assert.equal(await from("10.1.2.3"), 400, "let in: it is no digest");
    assert.equal(await from("11.1.2.3"), 403);
    assert.equal(await from("10.1.2.3, 11.1.2.3"), 403);
  });

  test("lets pages of allowed origins send a key", async () => {
    await using server = await startGuarded({ front: { allowOrigins: ["https://app.example"] } });
    const asked = {
      origin: "https://app.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,x-api-key",
    };
    const preflight = await exchange(server.port, request("OPTIONS /v3/scan", asked));
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get("access-control-allow-headers"), "authorization,x-api-key");
    await using open = await startRest({ front: { access: null, allowOrigins: ["https://app.example"] } });
    assert.equal(
      (await exchange(open.port, request("OPTIONS /v3/scan", asked))).headers.get("access-control-allow-headers"),
      undefined,
    );
  });

  test("a key, right or wrong, is in no event", async () => {
    await using server = await startGuarded();
    const basic = Buffer.from(`user:${key}`).toString("base64");
    for (const headers of [
      header,
      { authorization: `Basic ${basic}` },
      { "x-api-key": keyOf("unknown0") },
      { authorization: `Bearer ${key}\x01` },
    ]) {
      await exchange(server.port, request("POST /v3/scan", headers, "x"));
    }
    await delay(10);
    const all = JSON.stringify(server.events);
    for (const secret of [key, key.slice(-20), basic, keyOf("unknown0")]) assert.ok(!all.includes(secret));
  });
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { matchRoute, parseRouteTable } from "../../../../src/front/proxy/routes/routes.ts";
import { end, head, ok } from "../../../fake/origin.ts";
import { openProxy, virusMark } from "../proxy-stage.ts";
import { ask, requestText } from "../raw-client.ts";

const path = (prefix: string) => ({ host: null, path: prefix });

describe("parseRouteTable", () => {
  test("takes drip for trickle, which has had that name", () => {
    for (const mode of ["trickle", "drip"]) {
      const table = parseRouteTable(JSON.stringify({ routes: [{ path: "/", origin: "https://h/", mode }] }));
      assert.ok(table.kind === "routes" && table.routes[0]?.mode === "trickle");
    }
  });

  test("reads every field, and takes what is left out for off", () => {
    const full = {
      path: "/pypi/",
      host: "PyPI.example",
      origin: "https://pypi.org/simple/",
      cache: true,
      mode: "strict",
      allowPrivate: ["10.0.0.0/8", "devpi.internal:3141"],
      redirectOrigins: ["https://*.example.com"],
      forwardAuthorization: true,
      forwardHeaders: ["Cookie"],
      carryHeaders: ["X-Repo-Commit"],
      rewrite: [{ from: "https://files.example/", to: "http://gateway.example/files/" }],
    };
    const table = parseRouteTable(JSON.stringify({ routes: [full, { path: "/", origin: "http://127.0.0.1:8081" }] }));
    assert.ok(table.kind === "routes");
    const [first, second] = table.routes;
    assert.deepEqual(first?.match, { path: "/pypi/", host: "pypi.example" });
    assert.deepEqual(first?.base, { scheme: "https", host: "pypi.org", port: 443, path: "/simple/" });
    assert.deepEqual([first?.isCacheOn, first?.mode, first?.forwardAuthorization], [true, "strict", true]);
    assert.deepEqual([first?.allowPrivate.length, first?.redirectOrigins.length], [2, 1]);
    assert.deepEqual([first?.forwardHeaders, first?.carryHeaders], [["cookie"], ["x-repo-commit"]]);
    assert.deepEqual(first?.rewrite, full.rewrite);
    assert.deepEqual(second, {
      match: { path: "/", host: null },
      base: { scheme: "http", host: "127.0.0.1", port: 8081, path: "/" },
      isCacheOn: false,
      mode: null,
      allowPrivate: [],
      redirectOrigins: [],
      forwardAuthorization: false,
      forwardHeaders: [],
      carryHeaders: [],
      rewrite: [],
    });
  });

  test("tells every fault at once, each with its place", () => {
    const table = parseRouteTable(
      JSON.stringify({
        routes: [
          { path: "pypi", origin: "ftp://x/", cach: true },
          { origin: "https://h/?q", cache: "yes", mode: "fast" },
          { host: "a b", path: "/x/", allowPrivate: ["nonsense", 3], redirectOrigins: "x", forwardHeaders: ["a b"] },
          "text",
          { path: "/x/", origin: "https://h/", mode: "drip", rewrite: [{ from: "", tp: "x" }] },
          { path: "/x/", origin: "https://user:pass@h/" },
          { path: "/x/", origin: "https://h/", forwardHeaders: ["Host", "Accept"], carryHeaders: ["ETag", "Location", "X-A"] },
        ],
        route: [],
      }),
    );
    assert.ok(table.kind === "faults");
    assert.deepEqual(table.faults, [
      'the file: "route" is unknown',
      'the file, routes[0]: "cach" is unknown',
      'the file, routes[0]: "path" is not allowed to be "pypi"',
      'the file, routes[0]: "origin" is not allowed to be "ftp://x/"',
      'the file, routes[1]: neither "path" nor "host" is there',
      'the file, routes[1]: "origin" is not allowed to be "https://h/?q"',
      'the file, routes[1]: "mode" is not allowed to be "fast"',
      'the file, routes[1]: "cache" is neither true nor false',
      'the file, routes[2]: "host" is not allowed to be "a b"',
      'the file, routes[2]: "origin" is missing',
      'the file, routes[2], allowPrivate[0]: "nonsense" is not allowed',
      "the file, routes[2], allowPrivate[1]: 3 is not allowed",
      'the file, routes[2]: "redirectOrigins" is not a list',
      'the file, routes[2], forwardHeaders[0]: "a b" is not allowed',
      "the file, routes[3]: not an object",
      'the file, routes[3]: neither "path" nor "host" is there',
      'the file, routes[3]: "origin" is missing',
      'the file, routes[4], rewrite[0]: "tp" is unknown',
      'the file, routes[4], rewrite[0]: "from" is not allowed to be ""',
      'the file, routes[4], rewrite[0]: "to" is missing',
      'the file, routes[4]: "rewrite" goes with "mode": "strict" only',
      'the file, routes[5]: "origin" is not allowed to be "https://user:pass@h/"',
      'the file, routes[6], forwardHeaders[0]: "Host" is not allowed',
      'the file, routes[6], carryHeaders[0]: "ETag" is not allowed',
      'the file, routes[6], carryHeaders[1]: "Location" is not allowed',
    ]);
  });

  for (const text of ["", "{", "[]", "null", "{}", '{"routes":{}}']) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseRouteTable(text).kind, "faults"));
  }
});

describe("matchRoute", () => {
  test("takes the prefix off, and fits whole segments only", () => {
    assert.equal(matchRoute(path("/pypi/"), "", "/pypi/simple/x?y"), "/simple/x?y");
    assert.equal(matchRoute(path("/pypi/"), "", "/pypi/"), "/");
    assert.equal(matchRoute(path("/"), "", "/x"), "/x");
    for (const target of ["/pypi", "/pypix/", "/PYPI/", "/x/pypi/", "/%70ypi/"])
      assert.equal(matchRoute(path("/pypi/"), "", target), null);
  });

  test("compares hosts without case, port and last dot", () => {
    const match = { host: "pypi.example", path: null };
    for (const host of ["pypi.example", "PyPI.Example:8080", "pypi.example.", "pypi.example.:80"])
      assert.equal(matchRoute(match, host, "/x"), "/x");
    for (const host of ["", "example", "xpypi.example", "pypi.example.evil", "pypi.example:80:80"])
      assert.equal(matchRoute(match, host, "/x"), null);
  });
});

describe("a route", () => {
  const routes = [
    { match: { host: "files.test", path: null }, base: "files/" },
    { match: path("/cached/"), base: "a/", isCacheOn: true },
    { match: path("/plain/"), base: "b/" },
  ];

  test("leads to its origin by path or host, without Download-From, and has its own caching", async () => {
    await using proxy = await openProxy((request) => ok(request.path), { routes });
    const bodyOf = async (target: string, lines: readonly string[] = []) => (await proxy.get(target, lines)).body.toString();
    assert.equal(await bodyOf("/cached/x?y"), "/a/x?y");
    assert.equal(await bodyOf("/plain/x", ["Cache-Scan: true"]), "/b/x");
    assert.equal(await bodyOf("/plain/x", ["Host: files.test:8080"]), "/files/plain/x");
    assert.equal(proxy.urls.entries.size, 1);
  });

  test("is not left by dots or another address, and there is none for other paths", async () => {
    await using proxy = await openProxy((request) => ok(request.path), { routes });
    for (const target of ["/cached/../x", "/cached/%2e%2e/x", "/cached/http://h/", "/cached///h/x", "/other", "/"]) {
      const answer = await proxy.get(target);
      assert.equal(answer.status, 400, target);
    }
    assert.equal(proxy.origin.requests.length, 0);
  });

  test("steps back for Download-From", async () => {
    await using proxy = await openProxy((request) => ok(request.path), { routes });
    assert.equal((await proxy.get("/plain/x", [`Download-From: ${proxy.base}`])).body.toString(), "/plain/x");
  });
});

describe("a route that rewrites", () => {
  const rewriting = (rewrite: readonly { from: string; to: string }[]) => ({
    routes: [{ match: path("/"), base: "", rewrite, isCacheOn: true }],
  });

  test("changes texts before they are scanned: what is judged is what is delivered", async () => {
    await using proxy = await openProxy(
      () =>
        ok(
          '<a href="https://files.example/x#sha256=1">',
          "Content-Type: text/html; charset=utf-8",
          'ETag: "1"',
          "Digest: sha-256=x",
        ),
      rewriting([{ from: "https://files.example/", to: "http://g/f/" }]),
    );
    const answer = await proxy.get("/x", ["Range: bytes=0-1"]);
    const body = '<a href="http://g/f/x#sha256=1">';
    assert.deepEqual([answer.status, answer.body.toString()], [200, body]);
    assert.deepEqual(
      [answer.header("content-length"), answer.header("etag"), answer.header("digest")],
      [String(body.length), 'W/"1"', undefined],
    );
    assert.equal(answer.header("x-clamgate-sha256"), createHash("sha256").update(body).digest("hex"));
    assert.equal((await proxy.get("/x", [], { method: "HEAD" })).header("content-length"), undefined);
  });

  test("finds a virus that only rewriting makes", async () => {
    await using proxy = await openProxy(
      () => ok(`${virusMark.slice(0, 5)}CUT${virusMark.slice(5)}`, "Content-Type: application/json"),
      rewriting([{ from: "CUT", to: "" }]),
    );
    assert.equal((await proxy.get("/x")).status, 409);
  });

  test("leaves alone what is no text, is encoded, or says two things of itself", async () => {
    const coded = gzipSync("aaa");
    await using proxy = await openProxy(
      (request) => {
        if (request.path === "/zip") return ok("aaa", "Content-Type: application/zip");
        if (request.path === "/none") return ok("aaa");
        if (request.path === "/two") return ok("aaa", "Content-Type: text/x", "Content-Type: application/zip");
        if (request.path === "/coded") return ok(coded, "Content-Type: text/x", "Content-Encoding: gzip");
        return ok("aaa", "Content-Type: application/vnd.pypi.simple.v1+json");
      },
      rewriting([{ from: "a", to: "b" }]),
    );
    for (const target of ["/zip", "/none", "/two"]) assert.equal((await proxy.get(target)).body.toString(), "aaa");
    assert.ok((await proxy.get("/coded")).body.equals(coded));
    assert.equal((await proxy.get("/json")).body.toString(), "bbb");
  });

  test("fails with the origin", async () => {
    await using proxy = await openProxy(
      () => end(head(200, "Content-Type: text/x", "Content-Length: 9"), "aaa"),
      rewriting([{ from: "a", to: "b" }]),
    );
    assert.equal((await proxy.get("/x")).status, 502);
  });
});

test("without a route and without Download-From there is nothing to fetch: 400 (P4, B11)", async () => {
  await using proxy = await openProxy(() => ok("x"));
  const answer = await ask(proxy.port, requestText("/x"));
  assert.deepEqual([answer.status, answer.body.toString()], [400, '{"detail":"Download-From is missing"}']);
});

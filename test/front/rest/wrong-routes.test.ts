import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exchange, request, startRest } from "./rest-server.ts";

const text = "text/plain; charset=utf-8";

describe("routes", () => {
  test("take their method and no other (rest.md 1)", async () => {
    await using server = await startRest();
    for (const line of ["POST /scan", "POST /v2/scan", "GET /scanFile", "GET /scanPath"]) {
      assert.equal((await exchange(server.port, request(line))).status, 400, line);
    }
    for (const line of ["POST /scanHandlerBody", "GET /version", "GET /"]) {
      assert.equal((await exchange(server.port, request(line))).status, 200, line);
    }
  });

  test("serve HEAD where they serve GET, with the length and without the body (rest.md 3)", async () => {
    await using server = await startRest();
    for (const path of ["/", "/version", "/scanFile", "/scanPath"]) {
      const get = await exchange(server.port, request(`GET ${path}`));
      const head = await exchange(server.port, request(`HEAD ${path}`));
      assert.deepEqual([head.status, head.body], [get.status, ""], path);
      for (const name of ["content-length", "content-type", "vary"])
        assert.equal(head.headers.get(name), get.headers.get(name), path);
    }
  });
});

describe("a wrong method", () => {
  const cases = [
    ["PUT /v2/scan", "GET, HEAD, POST"],
    ["DELETE /scan", "GET, HEAD, POST"],
    ["PATCH /scanHandlerBody?x=1", "GET, HEAD, POST"],
    ["POST /version", "GET, HEAD"],
    ["POST /", "GET, HEAD"],
    ["PUT /scanFile", "GET, HEAD"],
    ["DELETE /scanPath", "GET, HEAD"],
    ["OPTIONS /version", "GET, HEAD"],
    ["PROPFIND /version", "GET, HEAD"],
    ["GET /v2/scan", "POST"],
    ["HEAD /scan", "POST"],
  ] as const;
  for (const [line, allow] of cases) {
    test(`is answered with 405 and what is allowed: ${line} (rest.md 4)`, async () => {
      await using server = await startRest();
      const answer = await exchange(server.port, request(line));
      assert.deepEqual([answer.status, answer.reason], [405, "Method Not Allowed"]);
      assert.equal(answer.body, line.startsWith("HEAD") ? "" : "Method Not Allowed\n");
      assert.equal(answer.headers.get("allow"), allow);
      assert.equal(answer.headers.get("content-type"), text);
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      assert.equal(answer.headers.get("content-length"), "19");
    });
  }

  test("is told of for routes that others add", async () => {
    await using server = await startRest({
      beside: async (fastify) => {
        fastify.get("/livez", async () => "ok");
      },
    });
    const answer = await exchange(server.port, request("POST /livez", { "content-type": "//" }, "{"));
    assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "GET, HEAD"]);
    assert.equal((await exchange(server.port, request("GET /livez"))).headers.get("vary"), "Origin");
  });
});

describe("an unknown path", () => {
  for (const line of [
    "GET /nope",
    "POST /nope",
    "PUT /nope/deeper",
    "GET /v2/scan/",
    "POST /v2/scan/",
    "GET /version/",
    "GET /Version",
  ]) {
    test(`is 404 for any method and with any body: ${line} (decided in place of rest.md 2, 5)`, async () => {
      await using server = await startRest();
      const body = line.startsWith("GET") ? "" : "{broken";
      const answer = await exchange(server.port, request(line, { "content-type": "application/json" }, body));
      assert.deepEqual([answer.status, answer.body, answer.headers.get("content-type")], [404, "404 page not found\n", text]);
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    });
  }

  test("takes no body of any length with it: the answer comes, the rest is drained", async () => {
    await using server = await startRest();
    const answer = await exchange(server.port, request("POST /nope", {}, Buffer.alloc(5_000_000)));
    assert.equal(answer.status, 404);
  });
});

describe("an unclean path", () => {
  for (const [line, location] of [
    ["GET //version", "/version"],
    ["POST //v2/scan", "/v2/scan"],
    ["POST /a/../scan?x=1&y=2", "/scan?x=1&y=2"],
    ["GET /./scanFile?path=/../b", "/scanFile?path=/../b"],
    ["PUT /v2//scan/", "/v2/scan/"],
    ["GET //evil.test//", "/evil.test/"],
    ["GET /../../etc/passwd", "/etc/passwd"],
  ] as const) {
    test(`is sent on with 307 and its query: ${line} (rest.md 5)`, async () => {
      await using server = await startRest();
      const answer = await exchange(server.port, request(line));
      assert.deepEqual([answer.status, answer.headers.get("location")], [307, location]);
    });
  }

  test("comes with Go's page for GET, escaped, and without one for POST", async () => {
    await using server = await startRest();
    const get = await exchange(server.port, request("GET //version?a=<b>&c"));
    assert.equal(get.body, '<a href="/version?a=&#60;b&#62;&#38;c">Temporary Redirect</a>.\n\n');
    assert.equal(get.headers.get("content-type"), "text/html; charset=utf-8");
    assert.equal((await exchange(server.port, request("POST //scan", {}, "x"))).body, "");
  });

  test("leads a client that follows to its answer, with method and body", async () => {
    await using server = await startRest();
    const response = await fetch(`${server.url}//scanHandlerBody`, { method: "POST", body: "virus:Moved" });
    assert.deepEqual([response.status, await response.text()], [406, "{FOUND Moved  406}"]);
  });
});

describe("the mark of test signatures", () => {
  test("is on every answer while there are no others, and gone then", async () => {
    let isTestOnly = true;
    await using server = await startRest({ front: { isTestOnly: () => isTestOnly } });
    const lines = [
      "GET /",
      "GET /version",
      "GET /nope",
      "PUT /scan",
      "GET //",
      "POST /v2/scan",
      "POST /scanHandlerBody",
      "GET /scanFile?path=/a",
    ];
    for (const line of lines) {
      assert.equal((await exchange(server.port, request(line))).headers.get("x-clamgate-signatures"), "test-only", line);
    }
    const early = await exchange(server.port, request("POST /scan", { "content-type": "text/plain" }, "unread"));
    assert.equal(early.headers.get("x-clamgate-signatures"), "test-only");
    isTestOnly = false;
    for (const line of lines) {
      assert.equal((await exchange(server.port, request(line))).headers.get("x-clamgate-signatures"), undefined, line);
    }
  });
});

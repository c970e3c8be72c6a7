import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exchange, type RestServer, request, startRest } from "./rest-server.ts";

const all = ["access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"] as const;
const origin = "https://app.example.test";
const preflightVary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

async function ask(server: RestServer, line: string, headers: Readonly<Record<string, string>> = {}) {
  return (await exchange(server.port, request(line, headers))).headers;
}

function preflight(method: string, headers?: string, from: string | null = origin): Record<string, string> {
  return {
    ...(from === null ? {} : { origin: from }),
    "access-control-request-method": method,
    ...(headers === undefined ? {} : { "access-control-request-headers": headers }),
  };
}

describe("cross-origin answers", () => {
  test("say Vary: Origin on every answer that is no preflight, whatever it is (rest.md 60); of / also by what it differs", async () => {
    await using server = await startRest({ front: { allowOrigins: ["*"] } });
    for (const line of [
      "GET /",
      "GET /version",
      "GET /nope",
      "PUT /v2/scan",
      "POST /scan",
      "GET //version",
      "HEAD /",
      "OPTIONS /scan",
    ]) {
      assert.equal((await ask(server, line)).get("vary"), line.endsWith(" /") ? "Origin, Accept" : "Origin", line);
      assert.equal((await ask(server, line)).get("access-control-allow-origin"), undefined, line);
    }
  });

  test("allow everyone with an asterisk, for GET, POST and OPTIONS only (rest.md 60)", async () => {
    await using server = await startRest({ front: { allowOrigins: ["*"] } });
    for (const line of ["GET /", "POST /v2/scan", "OPTIONS /v2/scan", "GET /nope"]) {
      const headers = await ask(server, line, { origin });
      assert.equal(headers.get("access-control-allow-origin"), "*", line);
      assert.equal(headers.get("access-control-allow-credentials"), undefined);
      assert.equal(headers.get("access-control-expose-headers"), undefined);
    }
    for (const line of ["HEAD /", "PUT /v2/scan", "DELETE /"]) {
      assert.equal((await ask(server, line, { origin })).get("access-control-allow-origin"), undefined, line);
    }
  });

  for (const method of ["GET", "POST", "OPTIONS"]) {
    test(`answer a preflight for ${method} with 204 (rest.md 61)`, async () => {
      await using server = await startRest({ front: { allowOrigins: ["*"] } });
      const answer = await exchange(server.port, request("OPTIONS /v2/scan", preflight(method, "accept, content-type")));
      assert.deepEqual([answer.status, answer.body], [204, ""]);
      assert.equal(answer.headers.get("vary"), preflightVary);
      assert.deepEqual(
        all.map((name) => answer.headers.get(name)),
        ["*", method, "accept, content-type"],
      );
      assert.equal(answer.headers.get("access-control-max-age"), undefined);
    });
  }

  for (const [title, headers] of [
    ["another method", preflight("PUT")],
    ["a method in lower case", preflight("get")],
    ["another header", preflight("POST", "content-type,x-other")],
    ["another origin", preflight("POST", undefined, "https://evil.test")],
    ["no origin", preflight("POST", undefined, null)],
  ] as const) {
    test(`answer a preflight with ${title} with 204 and no permission (rest.md 61)`, async () => {
      await using server = await startRest({ front: { allowOrigins: [origin] } });
      const answer = await exchange(server.port, request("OPTIONS /v2/scan", headers));
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.get("vary"), preflightVary);
      for (const name of all) assert.equal(answer.headers.get(name), undefined, name);
    });
  }

  test("leave the headers out that were not asked for, and answer paths that nobody knows (rest.md 61)", async () => {
    await using server = await startRest({ front: { allowOrigins: ["*"] } });
    const answer = await exchange(server.port, request("OPTIONS /nope", preflight("GET")));
    assert.deepEqual([answer.status, answer.headers.get("access-control-allow-methods")], [204, "GET"]);
    assert.equal(answer.headers.get("access-control-allow-headers"), undefined);
  });

  test("are 405 for OPTIONS that is no preflight (rest.md 61)", async () => {
    await using server = await startRest({ front: { allowOrigins: ["*"] } });
    assert.equal((await exchange(server.port, request("OPTIONS /v2/scan", { origin }))).status, 405);
  });

  const rules: readonly (readonly [string, string, boolean])[] = [
    ["https://app.example.test", "https://app.example.test", true],
    ["https://app.example.test", "HTTPS://App.Example.Test", true],
    ["HTTPS://APP.example.test", "https://app.example.test", true],
    ["https://app.example.test", "https://app.example.test.evil.test", false],
    ["https://app.example.test", "http://app.example.test", false],
    ["https://*.example.test", "https://a.b.example.test", true],
    ["https://*.example.test", "https://.example.test", true],
    ["https://*.example.test", "https://example.test", false],
    ["https://*.example.test", "https://evil.test", false],
    ["http://localhost:*", "http://localhost:3000", true],
    ["https://aa*aa", "https://aaa", false],
    ["https://a.test", "null", false],
  ];
  for (const [pattern, sent, isAllowed] of rules) {
    test(`${isAllowed ? "allow" : "refuse"} ${sent} where ${pattern} is named, and echo it as it was sent (rest.md 62)`, async () => {
      await using server = await startRest({ front: { allowOrigins: ["https://other.test", pattern] } });
      const headers = await ask(server, "GET /", { origin: sent });
      assert.equal(headers.get("access-control-allow-origin"), isAllowed ? sent : undefined);
    });
  }

  test("allow nobody where no origin is named (decided in place of rest.md 63)", async () => {
    await using server = await startRest({ front: { allowOrigins: [] } });
    const headers = await ask(server, "GET /", { origin });
    assert.deepEqual([headers.get("vary"), headers.get("access-control-allow-origin")], ["Origin, Accept", undefined]);
    const answer = await exchange(server.port, request("OPTIONS /scan", preflight("POST")));
    assert.deepEqual([answer.status, answer.headers.get("access-control-allow-origin")], [204, undefined]);
  });
});

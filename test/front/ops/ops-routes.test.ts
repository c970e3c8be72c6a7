import assert from "node:assert/strict";
import { describe, test } from "node:test";
import swagger from "@fastify/swagger";
import { fastify } from "fastify";
import type { EngineVersion } from "../../../src/core/verdict.ts";
import { type OpsRoutesOptions, opsRoutes } from "../../../src/front/ops/ops-routes.ts";
import type { Readiness } from "../../../src/front/ops/readiness.ts";

const now = Date.UTC(2026, 0, 3);
const checks = [{ name: "engine", ok: true, detail: "1 of 1 backends up" }] as const;
const text =
  "# HELP no_of_found_viruses The total number of found viruses\n# TYPE no_of_found_viruses counter\nno_of_found_viruses 0\n";

function builtHoursAgo(hours: number): EngineVersion {
  return { engine: "1.4.6", database: 27800, databaseTime: new Date(now - hours * 3_600_000), databaseDate: "", tag: "abc" };
}

async function opened(changes: Partial<OpsRoutesOptions> = {}) {
  const server = fastify();
  await server.register(swagger, { openapi: { info: { title: "clamgate", version: "0.1.0" } } });
  await server.register(
    opsRoutes({
      readiness: () => ({ status: "ready", checks }),
      metrics: async () => ({ contentType: "text/plain; version=0.0.4; charset=utf-8", body: text }),
      engineVersion: () => builtHoursAgo(1),
      maxAgeHours: 48,
      now: () => now,
      ...changes,
    }),
  );
  await server.ready();
  return { server, [Symbol.asyncDispose]: () => server.close() };
}

const unreachable = () => {
  throw new Error("asked for something that the route does not need");
};

describe("GET /livez", () => {
  test("says ok without asking anybody", async () => {
    await using gateway = await opened({ readiness: unreachable, metrics: unreachable, engineVersion: unreachable });
    const answer = await gateway.server.inject("/livez");
    assert.equal(answer.statusCode, 200);
    assert.equal(answer.body, '{"status":"ok"}');
    assert.match(String(answer.headers["content-type"]), /^application\/json/);
    assert.equal(answer.headers["cache-control"], "no-store");
  });
});

describe("GET /readyz", () => {
  for (const status of ["ready", "degraded"] as const) {
    test(`answers 200 when ${status}`, async () => {
      await using gateway = await opened({ readiness: () => ({ status, checks }) });
      const answer = await gateway.server.inject("/readyz");
      assert.equal(answer.statusCode, 200);
      assert.deepEqual(answer.json(), { status, checks });
      assert.equal(answer.headers["cache-control"], "no-store");
      assert.equal(answer.headers["retry-after"], undefined);
    });
  }

  test("answers 503 with Retry-After and the reasons when not ready", async () => {
    const failing = [{ name: "running", ok: false, detail: "stopping" }] as const;
    await using gateway = await opened({ readiness: () => ({ status: "not-ready", checks: failing }) });
    const answer = await gateway.server.inject("/readyz");
    assert.equal(answer.statusCode, 503);
    assert.deepEqual(answer.json(), { status: "not-ready", checks: failing });
    assert.equal(answer.headers["retry-after"], "5");
    assert.equal(answer.headers["cache-control"], "no-store");
  });

  test("answers 503 while loading, and passes on what to do", async () => {
    const waiting = [{ name: "engine", ok: false, detail: "starting", action: "wait" }] as const;
    await using gateway = await opened({ readiness: () => ({ status: "loading", checks: waiting }) });
    const answer = await gateway.server.inject("/readyz");
    assert.equal(answer.statusCode, 503);
    assert.deepEqual(answer.json(), { status: "loading", checks: waiting });
    assert.equal(answer.headers["retry-after"], "5");
  });

  test("asks anew each time", async () => {
    let status: Readiness["status"] = "not-ready";
    await using gateway = await opened({ readiness: () => ({ status, checks }) });
    assert.equal((await gateway.server.inject("/readyz")).statusCode, 503);
    status = "ready";
    assert.equal((await gateway.server.inject("/readyz")).statusCode, 200);
  });

  test("is no success when readiness cannot be told", async () => {
    await using gateway = await opened({ readiness: unreachable });
    assert.equal((await gateway.server.inject("/readyz")).statusCode, 500);
  });
});

describe("GET /metrics", () => {
  for (const accept of ["*/*", "text/plain", "application/openmetrics-text; version=1.0.0", "application/json"]) {
    test(`serves the text format 0.0.4 to a scraper that accepts ${accept}`, async () => {
      await using gateway = await opened();
      const answer = await gateway.server.inject({ url: "/metrics", headers: { accept } });
      assert.equal(answer.statusCode, 200);
      assert.equal(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
      assert.equal(answer.body, text);
    });
  }

  test("is a server error when the metrics cannot be read", async () => {
    await using gateway = await opened({ metrics: () => Promise.reject(new Error("no snapshot")) });
    assert.equal((await gateway.server.inject("/metrics")).statusCode, 500);
  });
});

describe("GET /healthcheck", () => {
  for (const [status, what, version] of [
    [200, "fresh signatures", builtHoursAgo(48)],
    [420, "old signatures", builtHoursAgo(48.001)],
    [420, "no daily database", { ...builtHoursAgo(0), databaseTime: null }],
    [503, "no engine", null],
  ] as const) {
    test(`answers ${status}, empty, for ${what}`, async () => {
      await using gateway = await opened({ engineVersion: () => version });
      const answer = await gateway.server.inject("/healthcheck");
      assert.equal(answer.statusCode, status);
      assert.equal(answer.body, "");
      assert.equal(answer.headers["cache-control"], "no-store");
      assert.equal(answer.headers["retry-after"], status === 503 ? "5" : undefined);
    });
  }
});

describe("opsRoutes", () => {
  for (const url of ["/livez", "/readyz", "/metrics", "/healthcheck"]) {
    test(`answers HEAD ${url} like GET, without a body`, async () => {
      await using gateway = await opened();
      const [get, head] = [await gateway.server.inject(url), await gateway.server.inject({ method: "HEAD", url })];
      assert.equal(head.statusCode, get.statusCode);
      assert.equal(head.headers["content-type"], get.headers["content-type"]);
      assert.equal(head.headers["cache-control"], get.headers["cache-control"]);
      assert.equal(head.headers["content-length"], get.headers["content-length"]);
      assert.equal(head.body, "");
    });

    test(`takes nothing posted to ${url}`, async () => {
      await using gateway = await opened();
      assert.equal((await gateway.server.inject({ method: "POST", url, payload: "x" })).statusCode, 404);
    });

    test(`does not mind a long query on ${url}`, async () => {
      await using gateway = await opened();
      const query = Array.from({ length: 1000 }, (_, index) => `key${index}=value`).join("&");
      assert.equal((await gateway.server.inject(`${url}?${query}`)).statusCode, 200);
    });
  }

  test("describes its routes for OpenAPI", async () => {
    await using gateway = await opened();
    const { paths = {} } = JSON.parse(JSON.stringify(gateway.server.swagger()));
    assert.deepEqual(Object.keys(paths).sort(), ["/healthcheck", "/livez", "/metrics", "/readyz"]);
    assert.deepEqual(Object.keys(paths["/readyz"].get.responses), ["200", "503"]);
    assert.deepEqual(Object.keys(paths["/healthcheck"].get.responses), ["200", "420", "503"]);
    assert.deepEqual(Object.keys(paths["/metrics"].get.responses["200"].content), ["text/plain"]);
  });
});

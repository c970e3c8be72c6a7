import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { realVersion } from "./fake-scan.ts";
import { exchange, request, startRest } from "./rest-server.ts";

const json = "application/json; charset=utf-8";
const unavailable = '{"Status":"ERROR","Description":"The scan engine is not available"}';

describe("GET /version", () => {
  test("writes the versions with clamav-rest's blanks (rest.md 49)", async () => {
    await using server = await startRest();
    const answer = await exchange(server.port, request("GET /version"));
    assert.equal(answer.body, '{ "Clamav": "1.4.3", "Signature": "27800" , "Signature_date": "Thu Oct  9 08:48:31 2025" }');
    assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, json]);
  });

  test("writes the engine alone while no daily signatures are loaded (rest.md 49)", async () => {
    const version = { ...realVersion, database: 0, databaseTime: null, databaseDate: "" };
    await using server = await startRest({ front: { engineVersion: () => version } });
    assert.equal((await exchange(server.port, request("GET /version"))).body, '{ "Clamav": "1.4.3" }');
  });

  test("names the files that are loaded while none of them is daily", async () => {
    const version = { ...realVersion, database: 0, databaseTime: null, databaseDate: "" };
    const bodyWith = async (files: readonly string[]) => {
      await using server = await startRest({ front: { engineVersion: () => version, signatureFiles: () => files } });
      return (await exchange(server.port, request("GET /version"))).body;
    };
    assert.equal(await bodyWith(["site.hdb"]), '{ "Clamav": "1.4.3", "Signature_files": "site.hdb" }');
    const many = Array.from({ length: 12 }, (_, index) => `${index}".ndb`);
    assert.match(JSON.parse(await bodyWith(many)).Signature_files, /^0"\.ndb, .* and 2 more$/);
  });

  test("is 503 without an engine (decided in place of rest.md 50)", async () => {
    await using server = await startRest({ front: { engineVersion: () => null } });
    const answer = await exchange(server.port, request("GET /version"));
    assert.deepEqual([answer.status, answer.body, answer.headers.get("content-type")], [503, unavailable, json]);
    assert.equal(answer.headers.get("retry-after"), "7");
  });
});

describe("GET /", () => {
  test("tells the pool's load in clamd's words (rest.md 51)", async () => {
    await using server = await startRest({
      front: { poolStats: () => ({ backendsUp: 2, slots: 20, inFlight: 3, queued: 4 }) },
    });
    const answer = await exchange(server.port, request("GET /"));
    assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, json]);
    const stats = JSON.parse(answer.body);
    assert.deepEqual(Object.keys(stats), ["Pools", "State", "Threads", "Memstats", "Queue"]);
    assert.equal(stats.Pools, "2");
    assert.equal(stats.State, "STATE: VALID PRIMARY");
    assert.equal(stats.Threads, "THREADS: live 3  idle 17 max 20 idle-timeout 30");
    assert.match(stats.Memstats, /^MEMSTATS: /);
    assert.equal(stats.Queue, "QUEUE: 4 items");
  });

  test("gives browsers the page, and 404 where there is none", async () => {
    const home = { status: 200, contentType: "text/html; charset=utf-8", body: "<!doctype html>" };
    for (const [front, status, body] of [
      [{ home }, 200, "<!doctype html>"],
      [{}, 404, "404 page not found\n"],
    ] as const) {
      await using server = await startRest({ front });
      const answer = await exchange(server.port, request("GET /", { accept: "text/html,*/*;q=0.8" }));
      assert.deepEqual([answer.status, answer.body], [status, body]);
      assert.equal(answer.headers.get("vary"), "Origin, Accept");
      const head = await exchange(server.port, request("HEAD /", { accept: "text/html" }));
      assert.deepEqual([head.status, head.body], [status, ""]);
    }
  });

  test("is the same for all who do not ask for HTML by its name", async () => {
    await using server = await startRest({ front: { home: null } });
    for (const accept of ["*/*", "application/json", "text/*", "text/html;q=0, */*", "text/htmlx", ",;,"]) {
      const answer = await exchange(server.port, request("GET /", { accept }));
      assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, json], accept);
    }
  });

  test("is 503 while no backend is up (rest.md 52)", async () => {
    await using server = await startRest({
      front: { poolStats: () => ({ backendsUp: 0, slots: 0, inFlight: 0, queued: 0 }) },
    });
    const answer = await exchange(server.port, request("GET /"));
    assert.deepEqual([answer.status, answer.body], [503, unavailable]);
    assert.equal(answer.headers.get("retry-after"), "7");
  });
});

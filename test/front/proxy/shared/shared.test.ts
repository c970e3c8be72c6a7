import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClamgateError } from "../../../../src/core/errors.ts";
import { refused } from "../../../../src/egress/refusal.ts";
import { end, head, ok, stall } from "../../../fake/origin.ts";
import { eventually } from "../../../process/stage.ts";
import { openProxy } from "../proxy-stage.ts";
import { ask, RawClient } from "../raw-client.ts";

describe("equal requests at the same time", () => {
  test("fifty of them are one download, one scan and fifty equal answers (P70)", async () => {
    await using proxy = await openProxy(() => ok(Buffer.alloc(300_000, 7)));
    proxy.engine.answerAll(null);
    const answering = Array.from({ length: 50 }, () => proxy.get("/x", ["Cache-Scan: true"]));
    const scan = await proxy.engine.scanBegun(1);
    await eventually("all have come", () => proxy.connections() === 50);
    scan.finish({ kind: "clean" });
    const answers = await Promise.all(answering);
    for (const { status, body } of answers) assert.deepEqual([status, body.length], [200, 300_000]);
    assert.deepEqual([proxy.origin.requests.length, proxy.engine.scans.length], [1, 1]);
    await eventually("all are told of", () => proxy.downloads().length === 50);
    assert.equal(proxy.downloads().filter(({ isCollapsed }) => isCollapsed).length, 49);
  });

  test("get the leader's failure, once (P70)", async () => {
    await using proxy = await openProxy(() => stall(head(200, "Content-Length: 9"), "x"), {
      upstream: {
        times: {
          connectTimeoutMs: 1000,
          tlsTimeoutMs: 1000,
          nextAddressMs: 1000,
          headTimeoutMs: 1000,
          idleTimeoutMs: 200,
          totalTimeoutMs: 0,
          minBytesPerSecond: 0,
        },
      },
    });
    const answers = await Promise.all(Array.from({ length: 5 }, () => proxy.get("/x")));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [504, 504, 504, 504, 504],
    );
    assert.equal(proxy.origin.requests.length, 1);
  });

  test("go on without the client that began (P70)", async () => {
    await using proxy = await openProxy(() => ok("hello"));
    proxy.engine.answerAll(null);
    const leader = new RawClient(proxy.port);
    leader.send(proxy.text("/x"));
    const scan = await proxy.engine.scanBegun(1);
    const follower = proxy.get("/x");
    await eventually("the follower is there", () => proxy.connections() === 2);
    leader[Symbol.dispose]();
    await eventually("the leader is gone", () => proxy.downloads().length === 1);
    assert.equal(proxy.downloads()[0]?.outcome, "gone");
    assert.equal(scan.signal.aborted, false);
    scan.finish({ kind: "clean" });
    assert.equal((await follower).body.toString(), "hello");
  });

  test("end with the last client: fetch, scan and spool, within a second (P49)", async () => {
    await using proxy = await openProxy(({ path }) =>
      path === "/stall" ? stall(head(200, "Content-Length: 9"), "x") : ok("hello"),
    );
    proxy.engine.answerAll(null);
    for (const [index, path] of ["/x", "/stall"].entries()) {
      using client = new RawClient(proxy.port);
      client.send(proxy.text(path));
      if (path === "/x") await proxy.engine.scanBegun(1);
      else await eventually("the body has begun", () => proxy.spool.usage().bodies === 1);
      client.socket.destroy();
      const goneAt = performance.now();
      const [scan] = proxy.engine.scans;
      // An engine keeps what it has begun to look at.
      await eventually("the scan is called off", () => scan?.signal.aborted === true);
      scan?.fail(new Error("called off"));
      await eventually("it is over", () => proxy.downloads().length === index + 1 && proxy.spool.usage().bodies === 0);
      // A second, and what a busy machine adds; a fetch that goes on would stall for good.
      assert.ok(performance.now() - goneAt < 5000);
      assert.equal(proxy.downloads()[index]?.outcome, "gone");
    }
    await proxy.origin.idle();
  });

  test("but for credentials, agent, gateways, Accept, validators or Cache-Scan are not equal (P71)", async () => {
    await using proxy = await openProxy((request) => ok(request.header("authorization") ?? request.header("accept") ?? "none"));
    proxy.engine.answerAll(null);
    const variants = [
      [],
      ["Authorization: a"],
      ["Authorization: b"],
      ["Accept: c"],
      ["User-Agent: z"],
      ["Via: 1.1 clamgate-other"],
      ['If-None-Match: "d"'],
      ["Cache-Scan: true"],
    ];
    const answering = variants.map((lines) => proxy.get("/x", lines));
    await eventually("each has its own download", () => proxy.origin.requests.length === variants.length);
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    const answers = await Promise.all(answering);
    assert.deepEqual(
      answers.map(({ body }) => body.toString()),
      ["none", "a", "b", "c", "none", "none", "none", "none"],
    );
  });

  test("of other sources are not equal: each gets what its own rewriting makes of the body", async () => {
    const index = "see http://files.example/a";
    const routes = ["http://one.example/", "http://two.example/"].map((to, place) => ({
      match: { host: null, path: `/${place}/` },
      base: "",
      rewrite: [{ from: "http://files.example/", to }],
    }));
    await using proxy = await openProxy(() => ok(index, "Content-Type: text/html"), { routes });
    proxy.engine.answerAll(null);
    const answering = [proxy.get("/0/x"), proxy.get("/1/x"), proxy.get("/x", [`Download-From: ${proxy.base}`])];
    await eventually("all have come", () => proxy.connections() === 3);
    await eventually("each has its own download", () => proxy.origin.requests.length === 3);
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    assert.deepEqual(
      (await Promise.all(answering)).map(({ body }) => body.toString()),
      ["see http://one.example/a", "see http://two.example/a", index],
    );
  });

  test("of another source have to pass its own gate", async () => {
    const match = { host: null, path: "/closed/" };
    const fetch = () => Promise.reject(refused("not in the list of origins"));
    await using proxy = await openProxy(() => ok("hello"), { routes: [{ match, base: "", fetch }] });
    proxy.engine.answerAll(null);
    const allowed = proxy.get("/x", [`Download-From: ${proxy.base}`]);
    const scan = await proxy.engine.scanBegun(1);
    const closed = proxy.get("/closed/x");
    await eventually("it has come", () => proxy.connections() === 2 || proxy.downloads().length === 1);
    scan.finish({ kind: "clean" });
    assert.deepEqual([(await allowed).status, (await closed).status], [200, 403]);
  });

  test("but for Range, and what the origin is not told, are equal, and each gets its part", async () => {
    await using proxy = await openProxy(() => ok("0123456789"));
    proxy.engine.answerAll(null);
    const answering = [
      proxy.get("/x", ["Range: bytes=0-1"]),
      proxy.get("/x", ["Range: bytes=8-"]),
      proxy.get("/x", ["Cookie: z", "Via: 1.1 nginx"]),
    ];
    await eventually("all have come", () => proxy.connections() === 3);
    await proxy.engine.scanBegun(1);
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    assert.deepEqual(
      (await Promise.all(answering)).map(({ body }) => body.toString()),
      ["01", "89", "0123456789"],
    );
    assert.equal(proxy.origin.requests.length, 1);
  });

  for (const [line, ...more] of [
    ["Cache-Control: no-store"],
    ["Cache-Control: max-age=9, private"],
    ["Vary: *"],
    ["Set-Cookie: a=b"],
    ["X-Plain: 1", "Authorization: Basic x"],
  ] as const) {
    test(`are served on their own once the answer to ${more.join() || "one"} says ${line}`, async () => {
      let tickets = 0;
      const gate = Promise.withResolvers<string>();
      await using proxy = await openProxy(async () => {
        tickets += 1;
        const answer = `${head(200, "Content-Length: 8", line)}ticket ${tickets}`;
        return { kind: "send", pieces: tickets === 1 ? [gate.promise.then(() => answer)] : [answer], after: "keep" };
      });
      const answering = Array.from({ length: 4 }, () => proxy.get("/x", more));
      await eventually("all have come", () => proxy.connections() === 4);
      assert.equal(proxy.origin.requests.length, 1, "one is asked for until it says so");
      gate.resolve("");
      const bodies = (await Promise.all(answering)).map(({ body }) => body.toString());
      assert.deepEqual(bodies.toSorted(), ["ticket 1", "ticket 2", "ticket 3", "ticket 4"]);
      await eventually("all are told of", () => proxy.downloads().length === 4);
      assert.ok(proxy.downloads().every(({ isCollapsed }) => !isCollapsed));
    });
  }

  test("with one credential stay one download where the origin calls its answer public", async () => {
    await using proxy = await openProxy(() => ok("hello", "Cache-Control: public, max-age=9"));
    proxy.engine.answerAll(null);
    const answering = [1, 2, 3].map(() => proxy.get("/x", ["Authorization: Basic x"]));
    const scan = await proxy.engine.scanBegun(1);
    await eventually("all have come", () => proxy.connections() === 3);
    scan.finish({ kind: "clean" });
    await Promise.all(answering);
    assert.equal(proxy.origin.requests.length, 1);
  });

  test("are served on their own where a redirect is for one of them alone", async () => {
    let tickets = 0;
    const gate = Promise.withResolvers<string>();
    await using proxy = await openProxy(async ({ path }) => {
      if (path !== "/x") return ok(path);
      tickets += 1;
      const answer = head(302, `Location: /ticket-${tickets}`, "Cache-Control: no-store", "Content-Length: 0");
      return { kind: "send", pieces: tickets === 1 ? [gate.promise.then(() => answer)] : [answer], after: "keep" };
    });
    const answering = [1, 2].map(() => proxy.get("/x"));
    await eventually("both have come", () => proxy.connections() === 2 && tickets === 1);
    gate.resolve("");
    const bodies = (await Promise.all(answering)).map(({ body }) => body.toString());
    assert.deepEqual(bodies.toSorted(), ["/ticket-1", "/ticket-2"]);
  });

  test("end what they have begun on their own with their client", async () => {
    const gate = Promise.withResolvers<string>();
    let count = 0;
    await using proxy = await openProxy(() => {
      count += 1;
      const answer = head(200, "Content-Length: 5", "Vary: *");
      return count === 1
        ? { kind: "send", pieces: [gate.promise.then(() => `${answer}hello`)], after: "keep" }
        : stall(answer, "x");
    });
    const leader = proxy.get("/x");
    await eventually("it is asked for", () => count === 1);
    using follower = new RawClient(proxy.port);
    follower.send(proxy.text("/x"));
    await eventually("both have come", () => proxy.connections() === 2);
    gate.resolve("");
    assert.equal((await leader).body.toString(), "hello");
    await eventually("the other has begun", () => count === 2 && proxy.spool.usage().bodies === 1);
    follower.socket.destroy();
    await eventually("it is over", () => proxy.spool.usage().bodies === 0);
  });

  test("one after the other are downloads of their own", async () => {
    await using proxy = await openProxy(({ earlier }) => ok(`answer ${earlier}`));
    assert.notEqual((await proxy.get("/x")).body.toString(), (await proxy.get("/x")).body.toString());
  });
});

describe("the limits (P72)", () => {
  const slots = { total: 0, perOrigin: 0, perClient: 0 };
  for (const limit of ["total", "perOrigin", "perClient"] as const) {
    test(`${limit}: one more than it is 503 with Retry-After at once, and free again afterwards`, async () => {
      await using proxy = await openProxy(({ path }) => ok(path), { front: { slots: { ...slots, [limit]: 2 } } });
      proxy.engine.answerAll(null);
      const answering = [proxy.get("/1"), proxy.get("/2")];
      await proxy.engine.scanBegun(2);
      const refused = await proxy.get("/3");
      assert.deepEqual([refused.status, refused.header("retry-after")], [503, "5"]);
      assert.equal((await proxy.get("/3", [], { method: "HEAD" })).status, 503);
      proxy.engine.answerAll(() => ({ kind: "clean" }));
      for (const { status } of await Promise.all(answering)) assert.equal(status, 200);
      for (let round = 0; round < 4; round += 1) assert.equal((await proxy.get("/4")).status, 200);
    });
  }

  test("total: those who share a download take one place", async () => {
    await using proxy = await openProxy(({ path }) => ok(path), { front: { slots: { ...slots, total: 1 } } });
    proxy.engine.answerAll(null);
    const answering = [proxy.get("/1"), proxy.get("/1")];
    await eventually("both have come", () => proxy.connections() === 2);
    await proxy.engine.scanBegun(1);
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    for (const { status } of await Promise.all(answering)) assert.equal(status, 200);
  });
});

describe("a failing engine", () => {
  for (const [code, status] of [
    ["engine-unavailable", 503],
    ["backend-lost", 503],
    ["engine-killed", 503],
    ["engine-error", 503],
    ["queue-full", 503],
    ["queue-timeout", 503],
    ["scan-timeout", 504],
    ["internal", 500],
  ] as const) {
    test(`with ${code} is ${status}, without a word of what went wrong (3.4, S16)`, async () => {
      await using proxy = await openProxy(() => ok("hello"));
      proxy.engine.answerAll(null);
      const answering = proxy.get("/x", ["Cache-Scan: true"]);
      (await proxy.engine.scanBegun(1)).fail(new ClamgateError(code, "Not now", { detail: "10.0.0.1:3310 refused" }));
      const answer = await answering;
      assert.equal(answer.status, status);
      assert.equal(answer.body.toString(), '{"detail":"Not now"}');
      assert.equal(answer.header("retry-after"), status === 503 ? "5" : undefined);
      assert.equal(answer.header("x-clamgate-verdict"), undefined);
    });
  }
});

describe("an origin that fails", () => {
  for (const [name, act, status] of [
    ["closes without an answer", end(), 502],
    ["talks no HTTP", end("SSH-2.0-x\r\n"), 502],
    ["never answers", stall(), 504],
    ["stalls in the body", stall(head(200, "Content-Length: 5"), "abc"), 504],
  ] as const) {
    test(`${name}: ${status} in words of ours (P24, S16)`, async () => {
      const times = {
        connectTimeoutMs: 1000,
        tlsTimeoutMs: 1000,
        nextAddressMs: 100,
        headTimeoutMs: 100,
        idleTimeoutMs: 100,
        totalTimeoutMs: 0,
        minBytesPerSecond: 0,
      };
      await using proxy = await openProxy(() => act, { upstream: { times } });
      const answer = await proxy.get("/x");
      assert.equal(answer.status, status);
      assert.match(answer.body.toString(), /^\{"detail":"[A-Za-z' ]+"\}$/);
    });
  }

  test("refuses connections: 502, and the port is not named", async () => {
    await using proxy = await openProxy(() => ok("x"));
    await proxy.origin[Symbol.asyncDispose]();
    const answer = await ask(proxy.port, proxy.text("/x"));
    assert.equal(answer.status, 502);
    assert.equal(answer.body.toString(), '{"detail":"The origin could not be reached"}');
  });
});

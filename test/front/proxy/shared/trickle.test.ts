import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { ClamgateError } from "../../../../src/core/errors.ts";
import type { Verdict } from "../../../../src/core/verdict.ts";
import { head, keep, ok, stall } from "../../../fake/origin.ts";
import { eventually } from "../../../process/stage.ts";
import { openProxy, type ProxyStage, virusMark } from "../proxy-stage.ts";
import { RawClient } from "../raw-client.ts";

const quick = { afterMs: 20, intervalMs: 2, maxBytes: 64 };
const clean: Verdict = { kind: "clean" };
const infected: Verdict = { kind: "infected", signatures: ["Late.Virus"] };
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function numbered(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, at) => 33 + ((at * 7 + (at >> 6)) % 90)));
}

/** Bytes of the body that are there so far. */
function released(client: RawClient): number {
  const headEnd = client.received.indexOf("\r\n\r\n");
  return headEnd < 0 ? 0 : client.received.length - headEnd - 4;
}

async function openTrickling(script: Parameters<typeof openProxy>[0], pace = quick): Promise<ProxyStage> {
  const proxy = await openProxy(script, { mode: "trickle", front: { trickle: pace } });
  proxy.engine.answerAll(null);
  return proxy;
}

describe("trickle", () => {
  test("sends nothing for objects that are judged before its time, and their status is the right one", async () => {
    await using proxy = await openProxy(({ path }) => ok(path === "/v" ? virusMark : "hello"), {
      mode: "trickle",
      front: { trickle: { afterMs: 60_000, intervalMs: 1, maxBytes: 64 } },
    });
    const passed = await proxy.get("/x");
    assert.deepEqual([passed.status, passed.header("x-clamgate-verdict")], [200, "clean"]);
    assert.equal(passed.header("x-accel-buffering"), undefined);
    assert.equal((await proxy.get("/v")).status, 409);
    assert.deepEqual(
      proxy.downloads().map(({ releasedBytes }) => releasedBytes),
      [0, 0],
    );
  });

  for (const size of [2, 3, 63, 64, 65, 68, 69, 1025, 65_537, 1_048_577]) {
    test(`of ${size} bytes releases at most 64, never the last, and a clean file arrives as it was (H1, H2, H8)`, async () => {
      const body = numbered(size);
      await using proxy = await openTrickling(() => ok(body, 'ETag: "x"', "X-Accel-Buffering: yes"));
      using client = new RawClient(proxy.port);
      client.send(proxy.text("/x"));
      const scan = await proxy.engine.scanBegun(1);
      const limit = Math.min(64, size - 1);
      await client.until(() => released(client) >= limit);
      // More than one further interval, in which there must come nothing.
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(released(client), limit);
      scan.finish(clean);
      const answer = await client.answer();
      assert.equal(sha256(answer.body), sha256(body));
      assert.deepEqual([answer.status, answer.isWhole, answer.header("content-length")], [200, true, String(size)]);
      assert.deepEqual([answer.header("x-accel-buffering"), answer.header("etag")], ["no", '"x"']);
      assert.equal(answer.header("x-clamgate-verdict"), undefined, "nothing is promised before the verdict (P48)");
      await eventually("it is told of", () => proxy.downloads().length === 1);
      assert.equal(proxy.downloads()[0]?.releasedBytes, limit);
    });
  }

  for (const size of [0, 1]) {
    test(`of ${size} bytes has nothing to release`, async () => {
      await using proxy = await openTrickling(() => ok(numbered(size)));
      const answering = proxy.get("/x");
      const scan = await proxy.engine.scanBegun(1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      scan.finish(infected);
      assert.equal((await answering).status, 409);
    });
  }

  for (const [name, finish] of [
    ["infected", (proxy: ProxyStage) => proxy.engine.scans[0]?.finish(infected)],
    ["not judged", (proxy: ProxyStage) => proxy.engine.scans[0]?.fail(new ClamgateError("engine-error", "Engine error"))],
    [
      "encrypted",
      (proxy: ProxyStage) => proxy.engine.scans[0]?.finish({ kind: "unscannable", reason: "encrypted", heuristic: null }),
    ],
  ] as const) {
    for (const framing of ["length", "chunked"] as const) {
      test(`ends in a reset when the file is ${name}, ${framing}; the next try is 409 whatever would come (H2, H3, 2.3)`, async () => {
        const body = numbered(1000);
        await using proxy = await openTrickling(() =>
          framing === "length" ? ok(body) : keep(head(200, "Transfer-Encoding: chunked"), "3e8\r\n", body, "\r\n0\r\n\r\n"),
        );
        using client = new RawClient(proxy.port);
        client.send(proxy.text("/x"));
        await client.until(() => released(client) >= 10);
        await proxy.engine.scanBegun(1);
        finish(proxy);
        assert.equal(await client.closed(), "reset");
        const answer = await client.answer();
        assert.equal(answer.isWhole, false);
        assert.ok(answer.body.length <= 64 && body.subarray(0, answer.body.length).equals(answer.body));
        await eventually("it is told of", () => proxy.downloads().length === 1);
        assert.equal(proxy.downloads()[0]?.outcome, "cut");

        proxy.engine.answerAll(() => clean);
        const again = await proxy.get("/x");
        assert.deepEqual([again.status, proxy.origin.requests.length], [409, 1], "whatever would come next");
        await eventually("both are told of", () => proxy.downloads().length === 2);
        assert.equal(proxy.downloads()[1]?.releasedBytes, 0);
      });
    }
  }

  test("ends in a reset when the origin breaks off after the first bytes (H3, P26)", async () => {
    await using proxy = await openTrickling(() => stall(head(200, "Content-Length: 1000"), numbered(100)));
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x"));
    await client.until(() => released(client) >= 5);
    await proxy.origin[Symbol.asyncDispose]();
    assert.equal(await client.closed(), "reset");
  });

  test("does not know more of a stalled body than has come, and keeps its last byte", async () => {
    await using proxy = await openTrickling(() => stall(head(200, "Content-Length: 1000"), numbered(4)));
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x"));
    await client.until(() => released(client) >= 3);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(released(client), 3);
  });

  for (const [size, memoryBytesPerBody] of [
    [5000, undefined],
    [500_000, undefined],
    [500_000, 1000],
  ] as const) {
    const where = memoryBytesPerBody === undefined ? "memory" : "a file";
    test(`of unknown length is chunked, and ends with its last chunk only after the verdict: ${size} bytes in ${where} (H2)`, async () => {
      const body = numbered(size);
      const chunked = () => keep(head(200, "Transfer-Encoding: chunked"), `${size.toString(16)}\r\n`, body, "\r\n0\r\n\r\n");
      const held = memoryBytesPerBody === undefined ? {} : { memoryBytesPerBody };
      await using proxy = await openProxy(chunked, { mode: "trickle", front: { trickle: quick }, ...held });
      proxy.engine.answerAll(null);
      using client = new RawClient(proxy.port);
      client.send(proxy.text("/x"));
      const scan = await proxy.engine.scanBegun(1);
      await client.until(() => released(client) >= 64);
      assert.doesNotMatch(client.received.toString("latin1"), /\r\n0\r\n/);
      scan.finish(clean);
      const answer = await client.answer();
      assert.deepEqual([answer.isWhole, answer.header("transfer-encoding")], [true, "chunked"]);
      assert.equal(sha256(answer.body), sha256(body));
    });
  }

  test("is off for HTTP/1.0 without a length, where a cut body looks whole (H4, P79)", async () => {
    await using proxy = await openTrickling(({ path }) =>
      path === "/known" ? ok(numbered(500)) : keep(head(200, "Transfer-Encoding: chunked"), "3\r\nabc\r\n0\r\n\r\n"),
    );
    using unknown = new RawClient(proxy.port);
    unknown.send(proxy.text("/unknown", [], { version: "1.0" }));
    await proxy.engine.scanBegun(1);
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(unknown.received.length, 0);
    proxy.engine.scans[0]?.finish(clean);
    const answer = await unknown.answer();
    assert.deepEqual([answer.header("content-length"), answer.body.toString()], ["3", "abc"]);

    using known = new RawClient(proxy.port);
    known.send(proxy.text("/known", [], { version: "1.0" }));
    await known.until(() => released(known) >= 5);
    (await proxy.engine.scanBegun(2)).finish(infected);
    assert.equal(await known.closed(), "reset");
    const notices = proxy.events.filter((event) => event.kind === "notice");
    assert.equal(notices.length, 1);
  });

  test("is off for statuses other than 200, for ranges and for HEAD", async () => {
    await using proxy = await openTrickling(({ path }) =>
      path === "/404" ? keep(head(404, "Content-Length: 500"), numbered(500)) : ok(numbered(500)),
    );
    const clients = [proxy.text("/404"), proxy.text("/x", ["Range: bytes=0-99"])].map((text) => {
      const client = new RawClient(proxy.port);
      client.send(text);
      return client;
    });
    await proxy.engine.scanBegun(1);
    await new Promise((resolve) => setTimeout(resolve, 60));
    for (const client of clients) assert.equal(client.received.length, 0);
    proxy.engine.answerAll(() => clean);
    const answers = await Promise.all(clients.map((client) => client.answer()));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [404, 206],
    );
    assert.equal((await proxy.get("/x", [], { method: "HEAD" })).header("x-accel-buffering"), undefined);
  });

  test("gives each client that shares a download its own bytes", async () => {
    const body = numbered(2000);
    await using proxy = await openTrickling(() => ok(body));
    const clients = Array.from({ length: 3 }, () => new RawClient(proxy.port));
    for (const client of clients) client.send(proxy.text("/x"));
    for (const client of clients) await client.until(() => released(client) >= 3);
    (await proxy.engine.scanBegun(1)).finish(clean);
    for (const client of clients) assert.equal(sha256((await client.answer()).body), sha256(body));
    assert.equal(proxy.origin.requests.length, 1);
  });

  test("slows down to half once half of its bytes are gone", async () => {
    await using proxy = await openTrickling(() => ok(numbered(500)), { afterMs: 1, intervalMs: 25, maxBytes: 8 });
    using client = new RawClient(proxy.port);
    const startedAt = performance.now();
    client.send(proxy.text("/x"));
    await client.until(() => released(client) >= 4);
    await client.until(() => released(client) >= 8);
    assert.ok(performance.now() - startedAt >= 3 * 24 + 4 * 49, "3 intervals, then 4 double ones");
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { memoryCopies } from "../../../../src/cache/memory-copies.ts";
import { type GivenCopies, givenSeconds } from "../../../../src/core/given-copies.ts";
import { end, head, keep, type OriginRequest, ok } from "../../../fake/origin.ts";
import { eventually } from "../../../process/stage.ts";
import { openProxy, type ProxyStage, type StageOptions, virusMark } from "../proxy-stage.ts";
import { type RawAnswer, RawClient } from "../raw-client.ts";

const one = "1111111111";
const two = "2222222222";
/** A day, and as long as a store need not be told again. */
const dayMs = givenSeconds * 1000;
const lastModified = "Tue, 01 Jul 2025 00:00:00 GMT";
const later = "Wed, 02 Jul 2025 00:00:00 GMT";

/** An origin with one file that a test replaces. */
interface Changing {
  body: string | Uint8Array;
  lines: readonly string[];
}

function changing(options: StageOptions = {}, lines: readonly string[] = ['ETag: "same"']) {
  const file: Changing = { body: one, lines };
  const script = (_: OriginRequest) => ok(file.body, ...file.lines);
  return { file, open: () => openProxy(script, options) };
}

const text = ({ status, body }: RawAnswer): readonly [number, string] => [status, body.toString()];
const whole = (body: string) => [200, body] as const;

describe("parts of one address", () => {
  test("are of one copy: when it has changed a Range gets the whole, whatever the origin's tag says", async () => {
    const { file, open } = changing();
    await using proxy = await open();
    const first = await proxy.get("/x", ["Range: bytes=0-4"]);
    assert.deepEqual(text(first), [206, "11111"]);
    file.body = two;
    assert.deepEqual(text(await proxy.get("/x", ["Range: bytes=5-"])), whole(two));
    assert.deepEqual(text(await proxy.get("/x", ["Range: bytes=5-", 'If-Range: "same"'])), whole(two));
    assert.equal((await proxy.get("/x", ["Range: bytes=5-", 'If-Match: "same"'])).status, 412);
    assert.deepEqual(text(await proxy.get("/x", ["Range: bytes=99-"])), whole(two), "not 416: wget would think it has the file");
  });

  test("count a whole that may have broken off, and the copy that comes back", async () => {
    const { file, open } = changing();
    await using proxy = await open();
    assert.deepEqual(text(await proxy.get("/x")), whole(one));
    file.body = two;
    assert.deepEqual(text(await proxy.get("/x")), whole(two));
    assert.deepEqual(text(await proxy.get("/x", ["Range: bytes=5-"])), whole(two));
    file.body = one;
    assert.deepEqual(text(await proxy.get("/x", ["Range: bytes=5-"])), whole(one));
  });

  test("are of the new copy a day after the last of the former was given", async () => {
    const { file, open } = changing();
    await using proxy = await open();
    await proxy.get("/x");
    proxy.time.now += dayMs - 1000;
    await proxy.get("/x", ["Range: bytes=0-0"]);
    file.body = two;
    proxy.time.now += dayMs - 1000;
    assert.equal((await proxy.get("/x", ["Range: bytes=5-"])).status, 200);
    proxy.time.now += 1000;
    assert.deepEqual(text(await proxy.get("/x", ["Range: bytes=5-"])), [206, "22222"]);
  });

  test("go on as ever while the file is the same, under whatever tag", async () => {
    const { file, open } = changing();
    await using proxy = await open();
    for (const [at, range] of ["0-4", "5-9", "-3", "0-"].entries()) {
      file.lines = [`ETag: "${at}"`];
      assert.equal((await proxy.get("/x", [`Range: bytes=${range}`])).status, 206);
    }
  });

  test("go on for a client that names its copy by a validator which no other had", async () => {
    const { file, open } = changing({}, ['ETag: "one"', `Last-Modified: ${lastModified}`]);
    await using proxy = await open();
    await proxy.get("/x");
    file.body = two;
    file.lines = ['ETag: "two"', `Last-Modified: ${later}`];
    const range = "Range: bytes=5-";
    assert.equal((await proxy.get("/x", [range])).status, 200, "it may have a part of the first");
    for (const lock of ['If-Range: "two"', `If-Range: ${later}`, 'If-Match: "two"', `If-Unmodified-Since: ${later}`])
      assert.deepEqual(text(await proxy.get("/x", [range, lock])), [206, "22222"], lock);
    assert.equal((await proxy.get("/x", ['If-Match: "two"'])).status, 200);
    for (const lock of ['If-Range: "one"', `If-Range: ${lastModified}`])
      assert.deepEqual(text(await proxy.get("/x", [range, lock])), whole(two), lock);
    for (const lock of ['If-Match: "one"', `If-Unmodified-Since: ${lastModified}`])
      assert.equal((await proxy.get("/x", [range, lock])).status, 412, lock);
  });

  for (const [name, mine, yours] of [
    ["Authorization, as each signed request has another", "Authorization: A", "Authorization: B"],
    ["Accept", "Accept: a/b", "Accept: */*"],
    ["Accept-Language", "Accept-Language: en", "Accept-Language: de"],
    ["Cache-Control", "Cache-Control: no-cache", "Pragma: no-cache"],
    ["If-None-Match", 'If-None-Match: "x"', 'If-None-Match: "y"'],
    ["Cache-Scan", "Cache-Scan: true", "Cache-Scan: false"],
    ["Accept-Encoding", "Accept-Encoding: gzip", "Accept-Encoding: identity"],
  ] as const) {
    test(`are of one address whatever its ${name}`, async () => {
      const { file, open } = changing();
      await using proxy = await open();
      await proxy.get("/x", ["Range: bytes=0-4", mine]);
      file.body = two;
      assert.equal((await proxy.get("/x", ["Range: bytes=5-", yours])).status, 200);
      assert.equal((await proxy.get("/y", ["Range: bytes=5-", yours])).status, 206, "another address");
    });
  }

  test("are of one address by Download-From and by a route", async () => {
    const { file, open } = changing({ routes: [{ match: { path: "/a/", host: null }, base: "" }] });
    await using proxy = await open();
    assert.equal((await proxy.get("/a/x", ["Range: bytes=0-4"])).status, 206);
    file.body = two;
    assert.equal((await proxy.get("/x", ["Range: bytes=5-", `Download-From: ${proxy.base}`])).status, 200);
  });

  test("leave errors and empty answers alone", async () => {
    let next = keep(head(404, "Content-Length: 4"), "gone");
    await using proxy = await openProxy(() => next);
    assert.equal((await proxy.get("/x")).status, 404);
    next = ok("");
    assert.equal((await proxy.get("/x")).status, 200);
    next = ok(one);
    assert.equal((await proxy.get("/x", ["Range: bytes=5-"])).status, 206);
  });

  test("count what passes with another status that clients keep", async () => {
    let next = keep(head(203, `Content-Length: ${one.length}`), one);
    await using proxy = await openProxy(() => next);
    await proxy.get("/x");
    next = ok(two);
    assert.equal((await proxy.get("/x", ["Range: bytes=5-"])).status, 200);
  });

  test("are refused to wget, which would cut the whole and add it to what it has", async () => {
    const { file, open } = changing();
    await using proxy = await open();
    const wget = ["User-Agent: Wget/1.21.3", "Range: bytes=5-"];
    assert.equal((await proxy.get("/x", wget)).status, 206);
    file.body = two;
    assert.equal((await proxy.get("/x", wget)).status, 412);
    assert.equal((await proxy.get("/x", ["User-Agent: Wget/1.21.3"])).status, 200);
  });

  test("are of one copy for gateways that share a store", async () => {
    const shared = memoryCopies({ maxEntries: 10, now: () => 0 });
    const { file, open } = changing({ front: { givenCopies: shared } });
    await using here = await open();
    const address = here.base;
    assert.equal((await here.get("/x", ["Range: bytes=0-4"])).status, 206);
    file.body = two;
    await using there = await openProxy(() => ok(two), { front: { givenCopies: shared }, routes: [] });
    const asked = await there.get("/x", ["Range: bytes=5-", `Download-From: ${address}`]);
    assert.deepEqual(text(asked), whole(two));
  });

  test("are not given while the store is away; a lock that the tag confirms still gets the whole", async () => {
    const givenCopies: GivenCopies = { give: async () => null, health: () => "degraded", close: async () => {} };
    const { open } = changing({ front: { givenCopies } });
    await using proxy = await open();
    for (const lines of [[], ['If-Range: "same"'], ['If-Match: "same"']])
      assert.deepEqual(text(await proxy.get("/x", ["Range: bytes=5-", ...lines])), whole(one));
  });

  test("of a shared download are of its copy, and each counts", async () => {
    const { file, open } = changing();
    await using proxy = await open();
    proxy.engine.answerAll(null);
    const both = [proxy.get("/x"), proxy.get("/x", ["Range: bytes=5-"])];
    const scan = await proxy.engine.scanBegun(1);
    await eventually("both wait", () => proxy.connections() === 2);
    scan.finish({ kind: "clean" });
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    assert.deepEqual((await Promise.all(both)).map(text), [whole(one), [206, "11111"]]);
    file.body = two;
    assert.equal((await proxy.get("/x", ["Range: bytes=5-"])).status, 200);
  });

  test("count what a verified stream has sent", async () => {
    const large = "a".repeat(200_000);
    const { file, open } = changing({ mode: "verified-stream" });
    await using proxy = await open();
    file.body = large;
    const on = "Cache-Scan: true";
    for (let times = 0; times < 2; times += 1) assert.equal((await proxy.get("/x", [on])).status, 200);
    proxy.time.now += dayMs - 1000;
    assert.equal((await proxy.get("/x", [on])).status, 200);
    assert.equal(proxy.engine.scans.length, 1, "it was streamed");
    proxy.time.now += 2000;
    file.body = two;
    assert.equal((await proxy.get("/x", ["Range: bytes=5-"])).status, 200);
  });

  test("come behind a HEAD or a 304 as they are", async () => {
    let next = keep(head(304, 'ETag: "same"'));
    await using proxy = await openProxy(({ method }) =>
      method === "HEAD" ? keep(head(200, "Content-Length: 10", 'ETag: "same"')) : next,
    );
    assert.equal((await proxy.get("/x", [], { method: "HEAD" })).status, 200);
    assert.equal((await proxy.get("/x", ['If-None-Match: "same"', "Range: bytes=0-4"])).status, 304);
    next = ok(one, 'ETag: "same"');
    assert.equal((await proxy.get("/x", ["Range: bytes=0-4"])).status, 206);
  });
});

describe("a precondition", () => {
  test("is the origin's to judge: it is sent on, and its 412 passes, scanned", async () => {
    await using proxy = await openProxy(({ header, path }) => {
      assert.equal(header("if-match"), '"one"');
      assert.equal(header("if-unmodified-since"), lastModified);
      return keep(head(412, "Content-Length: 27", 'ETag: "two"'), path === "/virus" ? virusMark : "x".repeat(27));
    });
    const lines = ['If-Match: "one"', `If-Unmodified-Since: ${lastModified}`, "Range: bytes=5-"];
    const answer = await proxy.get("/x", lines);
    assert.deepEqual([answer.status, answer.header("etag")], [412, '"two"']);
    assert.equal((await proxy.get("/virus", lines)).status, 409);
  });

  for (const [line, status] of [
    ['If-Match: "v1"', 200],
    ['If-Match: "v0", "v1"', 200],
    ['If-Match: "v0"\r\nIf-Match: "v1"', 200],
    ["If-Match: *", 200],
    ["If-Match: v1", 200],
    ['If-Match: "v2"', 412],
    ['If-Match: W/"v1"', 412],
    ['If-Match: "v1,"', 412],
    ["If-Match: ", 412],
    [`If-Unmodified-Since: ${lastModified}`, 200],
    [`If-Unmodified-Since: ${later}`, 200],
    ["If-Unmodified-Since: Mon, 30 Jun 2025 00:00:00 GMT", 412],
    ["If-Unmodified-Since: some day", 200],
    // RFC 9110 §13.2.2: the tag decides where both are there.
    ['If-Match: "v1"\r\nIf-Unmodified-Since: Mon, 30 Jun 2025 00:00:00 GMT', 200],
  ] as const) {
    test(`${JSON.stringify(line)} is answered ${status} where the origin does not look at it`, async () => {
      const lines = ['ETag: "v1"', `Last-Modified: ${lastModified}`];
      await using proxy = await openProxy(({ method }) =>
        method === "HEAD" ? keep(head(200, ...lines, "Content-Length: 10")) : ok(one, ...lines),
      );
      const answer = await proxy.get("/x", [line]);
      assert.equal(answer.status, status);
      if (status === 412) assert.equal(answer.header("content-type"), "application/json");
      assert.equal((await proxy.get("/x", [line], { method: "HEAD" })).status, status);
    });
  }

  test("never holds for a weak tag, or for none", async () => {
    await using proxy = await openProxy(({ path }) => ok(one, ...(path === "/weak" ? ['ETag: W/"v1"'] : [])));
    for (const path of ["/weak", "/none"]) {
      assert.equal((await proxy.get(path, ['If-Match: W/"v1"'])).status, 412);
      assert.equal((await proxy.get(path, ['If-Match: "v1"'])).status, 412);
      assert.equal((await proxy.get(path, ["Range: bytes=0-4", 'If-Range: W/"v1"'])).status, 200);
    }
  });

  test("is no part of what is shared", async () => {
    await using proxy = await openProxy(() => ok(one, 'ETag: "v1"'));
    proxy.engine.answerAll(null);
    const both = [proxy.get("/x", ['If-Match: "v1"']), proxy.get("/x", ['If-Match: "v2"'])];
    await proxy.engine.scanBegun(1);
    await eventually("both are asked for", () => proxy.origin.requests.length === 2);
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    assert.deepEqual(
      (await Promise.all(both)).map(({ status }) => status),
      [200, 412],
    );
  });
});

describe("an origin's parts", () => {
  test("are no news to the client: Content-Range passes on nothing", async () => {
    await using proxy = await openProxy(({ path }) =>
      path === "/200"
        ? ok(one, "Content-Range: bytes 0-9/99")
        : keep(head(416, "Content-Length: 0", "Content-Range: bytes */99")),
    );
    for (const path of ["/200", "/416"]) assert.equal((await proxy.get(path)).header("content-range"), undefined);
    const part = await proxy.get("/200", ["Range: bytes=0-1"]);
    assert.equal(part.header("content-range"), "bytes 0-1/10");
  });

  for (const type of ["multipart/byteranges; boundary=x", "Multipart/ByteRanges"]) {
    test(`are refused as ${type}`, async () => {
      await using proxy = await openProxy(() => end(head(200, `Content-Type: ${type}`, "Content-Length: 10"), one));
      for (const lines of [[], ["Range: bytes=0-1,3-4"]]) assert.equal((await proxy.get("/x", lines)).status, 502);
    });
  }
});

describe("a trickle that was cut", () => {
  const trickle = { afterMs: 20, intervalMs: 2, maxBytes: 64 };
  const body = "x".repeat(1000);
  const infected = { kind: "infected", signatures: ["Late.Virus"] } as const;

  async function cut(proxy: ProxyStage, lines: readonly string[] = []): Promise<void> {
    proxy.engine.answerAll(null);
    const scans = proxy.engine.scans.length;
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x", lines));
    await client.until(() => client.received.includes("\r\n\r\nx"));
    (await proxy.engine.scanBegun(scans + 1)).finish(infected);
    assert.equal(await client.closed(), "reset");
    proxy.engine.answerAll(() => ({ kind: "clean" }));
  }

  for (const [name, lines, method] of [
    ["with other headers", ["Authorization: B", "Accept: a/b"], "GET"],
    ["by HEAD", [], "HEAD"],
    ["in part", ["Range: bytes=5-"], "GET"],
    ["under a condition", ['If-None-Match: "x"'], "GET"],
    ["with a lock", ['If-Match: "x"'], "GET"],
    ["where verdicts are remembered", ["Cache-Scan: true"], "GET"],
  ] as const) {
    test(`is answered 409 for ten minutes, though the origin has a clean file by now: ${name}`, async () => {
      let file = body;
      await using proxy = await openProxy(() => ok(file), { mode: "trickle", front: { trickle } });
      await cut(proxy);
      file = "another";
      const asked = proxy.origin.requests.length;
      assert.equal((await proxy.get("/x", lines, { method })).status, 409);
      assert.equal(proxy.origin.requests.length, asked, "nobody is asked");
      proxy.time.now += 599_999;
      const answer = await proxy.get("/x");
      assert.deepEqual([answer.status, answer.header("x-clamgate-verdict")], [409, "infected"]);
      assert.equal(answer.header("x-clamgate-signature"), undefined, "it may be of another client's variant");
      assert.equal((await proxy.get("/y")).status, 200);
      proxy.urls.entries.clear(); // whose time the fake does not know
      proxy.time.now += 1;
      assert.equal((await proxy.get("/x")).status, 200);
      assert.equal((await proxy.get("/x", ["Range: bytes=5-"])).status, 200, "the bytes that are out are no part of it");
    });
  }

  test("is answered 409 by the next gateway, and in every mode", async () => {
    await using proxy = await openProxy(() => ok(body), { mode: "trickle", front: { trickle } });
    await cut(proxy);
    const { urls, base } = proxy;
    for (const mode of ["trickle", "strict", "verified-stream"] as const) {
      const route = { match: { path: "/other/", host: null }, base: "", mode: "trickle" } as const;
      await using other = await openProxy(() => ok(body), { mode, front: { urlVerdicts: urls }, routes: [route] });
      assert.equal((await other.get("/x", [`Download-From: ${base}`])).status, 409, mode);
    }
  });

  test("is not known while it runs: others get no part of another copy meanwhile", async () => {
    let file = body;
    await using proxy = await openProxy(() => ok(file), { mode: "trickle", front: { trickle } });
    proxy.engine.answerAll(null);
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x"));
    await client.until(() => client.received.includes("\r\n\r\nx"));
    file = "y".repeat(1000);
    const asking = proxy.get("/x", ["Range: bytes=1-", "User-Agent: another"]);
    (await proxy.engine.scanBegun(2)).finish({ kind: "clean" });
    assert.equal((await asking).status, 200);
    (await proxy.engine.scanBegun(1)).finish({ kind: "clean" });
    assert.equal((await client.answer()).isWhole, true);
  });

  test("leaves no part behind when its client goes before the verdict", async () => {
    await using proxy = await openProxy(() => ok(body), { mode: "trickle", front: { trickle } });
    proxy.engine.answerAll(null);
    {
      using client = new RawClient(proxy.port);
      client.send(proxy.text("/x"));
      await client.until(() => client.received.includes("\r\n\r\nx"));
    }
    await eventually("it has gone", () => proxy.downloads().length === 1);
    proxy.engine.answerAll(() => ({ kind: "clean" }));
    assert.equal((await proxy.get("/x", ["Range: bytes=5-"])).status, 200);
  });

  test("is none when it ends well: its rest is given in parts", async () => {
    await using proxy = await openProxy(() => ok(body), { mode: "trickle", front: { trickle } });
    proxy.engine.answerAll(null);
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x"));
    await client.until(() => client.received.includes("\r\n\r\nx"));
    (await proxy.engine.scanBegun(1)).finish({ kind: "clean" });
    assert.equal((await client.answer()).isWhole, true);
    assert.equal((await proxy.get("/x", ["Range: bytes=5-"])).status, 206);
  });
});

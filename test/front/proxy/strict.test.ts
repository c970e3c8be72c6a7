import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { end, head, keep, ok, redirect, reset, startFakeOrigin } from "../../fake/origin.ts";
import { eventually } from "../../process/stage.ts";
import { maxBytes, openProxy, virusMark } from "./proxy-stage.ts";
import { ask, RawClient, requestText } from "./raw-client.ts";

const seedBody = '{"detail":"This resource contains a virus!"}';
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const files = async (directory: string) => (await readdir(directory)).filter((name) => /[0-9a-f-]{36}$/.test(name));

/** Not compressible, and different everywhere. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = size + 1;
  for (let at = 0; at < size; at += 1) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    bytes[at] = state >> 16;
  }
  return bytes;
}

describe("a clean download", () => {
  const sizes = [0, 1, 63, 64, 65, 66, 67, 68, 69, 1023, 1024, 1025, 65_535, 65_536, 65_537, 1_048_575, 1_048_576, 1_048_577];
  for (const version of ["1.0", "1.1"]) {
    test(`is what the origin sent, whatever its size, over HTTP/${version} (P1, P46, P47, H8)`, async () => {
      await using proxy = await openProxy(({ path }) => ok(pattern(Number(path.slice(1))), "Content-Type: application/x-test"));
      for (const size of [...sizes, maxBytes]) {
        const answer = await proxy.get(`/${size}`, [], { version });
        assert.equal(answer.status, 200);
        assert.equal(answer.header("content-length"), String(size));
        assert.equal(answer.header("transfer-encoding"), undefined);
        assert.equal(answer.header("content-type"), "application/x-test");
        assert.equal(answer.header("x-clamgate-verdict"), "clean");
        assert.equal(answer.header("x-clamgate-cache"), "off");
        assert.equal(answer.header("x-clamgate-sha256"), sha256(pattern(size)));
        assert.equal(sha256(answer.body), sha256(pattern(size)));
        assert.ok(answer.isWhole);
      }
    });
  }

  test("waits for the engine in the turn of its client", async () => {
    await using proxy = await openProxy(() => ok(pattern(10)));
    await proxy.get("/a");
    assert.deepEqual(
      proxy.engine.scans.map(({ client }) => client),
      ["127.0.0.1"],
    );
  });

  test("may come in chunks or end with the connection (P22), and is sent with its length (P46)", async () => {
    await using proxy = await openProxy(({ path }) =>
      path === "/chunked"
        ? keep(head(200, "Transfer-Encoding: chunked", "Trailer: X-T"), "3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n")
        : end(head(200), "abcde"),
    );
    for (const path of ["/chunked", "/closed"]) {
      const answer = await proxy.get(path);
      assert.equal(answer.body.toString(), "abcde");
      assert.equal(answer.header("content-length"), "5");
      assert.equal(answer.header("x-t"), undefined);
      assert.equal(answer.header("trailer"), undefined);
    }
  });

  test("has the origin's headers, and none that command the web server in front (P40, P41)", async () => {
    await using proxy = await openProxy(() =>
      ok(
        "x",
        "content-type: Text/X;  charset=koi8-r",
        'ETag: "abc"',
        "Last-Modified: Tue, 01 Jul 2025 00:00:00 GMT",
        "Docker-Content-Digest: sha256:00",
        "npm-notice: a",
        "X-PyPI-Last-Serial: 7",
        "Link: </a>; rel=x",
        "Link: </b>; rel=y",
        "Content-Disposition: attachment; filename=caf\xe9",
        "X-Accel-Redirect: /internal",
        "X-Accel-Buffering: yes",
        "X-Sendfile: /etc/passwd",
        "X-Reproxy-URL: http://10.0.0.1/",
        "X-Clamgate-Verdict: clean",
        "X-Clamgate-Cache: hit",
        "Set-Cookie: a=b",
        "Alt-Svc: h3",
        "Accept-Ranges: bytes",
        "Keep-Alive: timeout=9",
        "Connection: X-Hop",
        "X-Hop: 1",
      ),
    );
    const answer = await proxy.get("/x");
    const ours = [
      "date",
      "connection",
      "via",
      "content-length",
      "accept-ranges",
      "x-clamgate-verdict",
      "x-clamgate-cache",
      "x-clamgate-sha256",
    ];
    assert.deepEqual(
      answer.lines.filter(([name]) => !ours.includes(name.toLowerCase())),
      [
        ["content-type", "Text/X;  charset=koi8-r"],
        ["ETag", '"abc"'],
        ["Last-Modified", "Tue, 01 Jul 2025 00:00:00 GMT"],
        ["Docker-Content-Digest", "sha256:00"],
        ["npm-notice", "a"],
        ["X-PyPI-Last-Serial", "7"],
        ["Link", "</a>; rel=x"],
        ["Link", "</b>; rel=y"],
        ["Content-Disposition", "attachment; filename=caf\xe9"],
      ],
    );
    assert.equal(answer.header("accept-ranges"), "none");
    assert.equal(answer.header("x-clamgate-cache"), "off");
    assert.equal(answer.lines.filter(([name]) => name.toLowerCase() === "x-clamgate-verdict").length, 1);
  });

  test("without a Content-Type has none", async () => {
    await using proxy = await openProxy(() => ok("x"));
    assert.equal((await proxy.get("/x")).header("content-type"), undefined);
  });

  test("is asked for by the raw path and query, without the headers that are ours (P2, P11)", async () => {
    await using proxy = await openProxy(() => ok("x"));
    const path = "/@scope%2fname/a%3Fb%23c%20d+e;f?X-Amz-Signature=%2F+&q=http://h/";
    await proxy.get(path, ["Cache-Scan: true", "Cookie: a=b", "X-Forwarded-For: 1.2.3.4", "Range: bytes=0-0", "Accept: text/x"]);
    assert.equal(proxy.origin.requests[0]?.path, path);
    const names = proxy.origin.requests[0]?.lines.map((line) => line.split(":")[0]?.toLowerCase()).toSorted();
    assert.deepEqual(names, ["accept", "accept-encoding", "connection", "host", "via"]);
  });

  test("comes with the final status of redirects, which the client does not see (P23)", async () => {
    await using proxy = await openProxy(({ path }) => (path === "/a" ? redirect(302, "/b?c") : ok("there")));
    const answer = await proxy.get("/a");
    assert.deepEqual([answer.status, answer.body.toString(), answer.header("location")], [200, "there", undefined]);
  });

  for (const status of [400, 401, 403, 404, 410, 418, 500, 501, 599]) {
    test(`of status ${status} is scanned and passed with its status (P42)`, async () => {
      await using proxy = await openProxy(() =>
        keep(head(status, "Content-Length: 4", 'WWW-Authenticate: Basic realm="x"'), "oops"),
      );
      const answer = await proxy.get("/x", ["Cache-Scan: true"]);
      assert.deepEqual([answer.status, answer.body.toString()], [status, "oops"]);
      assert.equal(answer.header("www-authenticate"), 'Basic realm="x"');
      assert.equal(proxy.engine.scans.length, 1);
      assert.equal(proxy.urls.entries.size, 0);
    });
  }

  test("that is none: 204, 205 and 304 pass without body and scan (P43, P47)", async () => {
    await using proxy = await openProxy(({ path }) => keep(head(Number(path.slice(1)), 'ETag: "x"', "Content-Length: 0")));
    for (const status of [204, 205, 304]) {
      const answer = await proxy.get(`/${status}`, ['If-None-Match: "x"']);
      assert.deepEqual([answer.status, answer.body.length, answer.header("etag")], [status, 0, '"x"']);
      assert.equal(answer.header("x-clamgate-verdict"), undefined);
    }
    assert.equal(proxy.engine.scans.length, 0);
    assert.equal(proxy.origin.requests[0]?.header("if-none-match"), '"x"');
    assert.deepEqual(
      proxy.downloads().map(({ outcome }) => outcome),
      ["bodiless", "bodiless", "bodiless"],
    );
  });
});

describe("HEAD", () => {
  test("is asked of the origin, not scanned, and answered with its headers and its length, or none (P44)", async () => {
    await using proxy = await openProxy(({ path }) =>
      path === "/known"
        ? keep(head(200, "Content-Length: 4711", "Content-Type: a/b"))
        : keep(head(200, "Transfer-Encoding: chunked")),
    );
    const known = await proxy.get("/known", [], { method: "HEAD" });
    assert.deepEqual([known.status, known.header("content-length"), known.header("content-type")], [200, "4711", "a/b"]);
    const unknown = await proxy.get("/unknown", [], { method: "HEAD" });
    assert.equal(unknown.header("content-length"), undefined);
    assert.equal(unknown.header("transfer-encoding"), undefined);
    assert.equal(proxy.origin.requests[0]?.method, "HEAD");
    assert.equal(proxy.engine.scans.length, 0);
  });

  test("of an error of ours has its headers and no body (P7)", async () => {
    await using proxy = await openProxy(() => reset());
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x", [], { method: "HEAD" }));
    const answer = await client.answer({ isHead: true });
    assert.equal(answer.status, 502);
    assert.equal(answer.header("content-type"), "application/json");
    assert.ok(Number(answer.header("content-length")) > 0);
    await client.closed();
    assert.equal(client.received.length, 0);
  });
});

describe("an infected download", () => {
  test("is 409 with exactly the seed's 44 bytes, and its file is gone by then (P6, H7)", async () => {
    await using proxy = await openProxy(() => ok(`before ${virusMark} after`, "Content-Type: text/x", "X-Upstream: yes"));
    const answer = await proxy.get("/x");
    assert.equal(answer.status, 409);
    assert.equal(answer.body.toString(), seedBody);
    assert.equal(answer.header("content-length"), "44");
    assert.equal(answer.header("content-type"), "application/json");
    assert.equal(answer.header("cache-control"), "no-store");
    assert.equal(answer.header("x-clamgate-signature"), "Test.Mark");
    assert.equal(answer.header("x-upstream"), undefined);
    assert.equal(proxy.spool.usage().bodies, 0);
  });

  test("is blocked wherever the virus stands, and as the body of an error too (P42)", async () => {
    const size = 200_000;
    await using proxy = await openProxy(({ path }) => {
      const at = Number(path.slice(1));
      const body = pattern(size);
      body.write(virusMark, at);
      return keep(head(at % 2 === 0 ? 200 : 404, `Content-Length: ${size}`), body);
    });
    for (const at of [0, 1, 63, 64, 65_535, 65_536, 100_001, size - virusMark.length]) {
      const answer = await proxy.get(`/${at}`);
      assert.deepEqual([answer.status, answer.body.toString()], [409, seedBody]);
    }
  });

  test("has its signature's name cleaned for the header", async () => {
    await using proxy = await openProxy(() => ok("x"));
    proxy.engine.answerAll(() => ({ kind: "infected", signatures: ["A\r\nX-Evil: 1", "B\u00fc"] }));
    const answer = await proxy.get("/x");
    assert.equal(answer.status, 409);
    assert.equal(answer.header("x-clamgate-signature"), "A??X-Evil: 1, B?");
    assert.equal(answer.header("x-evil"), undefined);
  });

  test("leaves nothing behind a hundred times (P73)", async () => {
    await using proxy = await openProxy(({ path }) => ok(`${virusMark} ${path}`));
    for (let round = 0; round < 100; round += 1) assert.equal((await proxy.get(`/${round}`)).status, 409);
    assert.deepEqual(proxy.spool.usage(), { bodies: 0, memoryBytes: 0, fileBytes: 0 });
  });
});

describe("a download that is spooled in a file", () => {
  test("is delivered from it, whole, in part and as it was encoded, and the file goes with the answer", async () => {
    const body = gzipSync(randomBytes(300_000));
    await using proxy = await openProxy(() => ok(body, "Content-Encoding: gzip"), { memoryBytesPerBody: 1000 });
    assert.equal(sha256((await proxy.get("/x")).body), sha256(body));
    const part = await proxy.get("/x", ["Range: bytes=70000-200000"]);
    assert.ok(part.body.equals(body.subarray(70_000, 200_001)));
    await eventually("the files are gone", () => proxy.spool.usage().bodies === 0);
    assert.deepEqual(await files(proxy.spoolDirectory), []);
  });

  test("and infected has no file any more when the client reads 409 (H7)", async () => {
    await using proxy = await openProxy(() => ok(pattern(300_000)), { memoryBytesPerBody: 1000 });
    proxy.engine.answerAll(null);
    const answering = proxy.get("/x");
    const scan = await proxy.engine.scanBegun(1);
    assert.equal((await files(proxy.spoolDirectory)).length, 1);
    scan.finish({ kind: "infected", signatures: ["X"] });
    assert.equal((await answering).status, 409);
    assert.deepEqual(await files(proxy.spoolDirectory), []);
  });
});

describe("an unscannable download", () => {
  test("is blocked, and passes where the policy says so, with a mark", async () => {
    await using strict = await openProxy(() => ok("ENCRYPTED"));
    const blocked = await strict.get("/x");
    assert.deepEqual([blocked.status, blocked.body.toString()], [409, seedBody]);
    assert.equal(blocked.header("x-clamgate-signature"), "Heuristics.Encrypted.Zip");
    await using relaxed = await openProxy(() => ok("ENCRYPTED"), { allowed: ["encrypted"] });
    const passed = await relaxed.get("/x", ["Cache-Scan: true"]);
    assert.deepEqual([passed.status, passed.body.toString()], [200, "ENCRYPTED"]);
    assert.equal(passed.header("x-clamgate-verdict"), "unscannable");
    assert.equal(passed.header("x-clamgate-allowed"), "encrypted");
    assert.equal(relaxed.urls.entries.size, 0);
  });

  test("is 413 where the engine finds it too large", async () => {
    await using proxy = await openProxy(() => ok("x"));
    proxy.engine.answerAll(() => ({ kind: "unscannable", reason: "too-large", heuristic: null }));
    assert.equal((await proxy.get("/x")).status, 413);
  });
});

describe("nothing but the whole", () => {
  test("is sent before the verdict: no byte, no status (H1)", async () => {
    await using proxy = await openProxy(() => ok(pattern(500_000)));
    proxy.engine.answerAll(null);
    using client = new RawClient(proxy.port);
    client.send(proxy.text("/x"));
    const scan = await proxy.engine.scanBegun(1);
    assert.equal(client.received.length, 0);
    scan.finish({ kind: "clean" });
    const answer = await client.answer();
    assert.deepEqual([answer.status, answer.body.length], [200, 500_000]);
  });

  for (const [name, act] of [
    ["short of its length", end(head(200, "Content-Length: 10"), "12345")],
    ["without its last chunk", end(head(200, "Transfer-Encoding: chunked"), "5\r\nabcde\r\n")],
    ["reset in the middle", reset(head(200, "Content-Length: 10"), "12345")],
    ["of two lengths", keep(head(200, "Content-Length: 5", "Transfer-Encoding: chunked"), "5\r\nabcde\r\n0\r\n\r\n")],
    ["a part that nobody asked for", keep(head(206, "Content-Length: 2", "Content-Range: bytes 0-1/9"), "ab")],
  ] as const) {
    test(`is delivered of an answer ${name}: 502 and nothing remembered (P22, P26, P27)`, async () => {
      await using proxy = await openProxy(() => act);
      const answer = await proxy.get("/x", ["Cache-Scan: true"]);
      assert.equal(answer.status, 502);
      assert.match(answer.body.toString(), /^\{"detail":"[^"]+"\}$/);
      assert.equal(proxy.urls.entries.size, 0);
      assert.equal(proxy.digests.entries.size, 0);
    });
  }

  test("is delivered of what is too large, declared or not: 413 (P28)", async () => {
    const chunk = Buffer.alloc(64 * 1024);
    await using proxy = await openProxy(({ path }) =>
      path === "/declared" ? keep(head(200, `Content-Length: ${maxBytes + 1}`)) : { kind: "flood", head: head(200), chunk },
    );
    for (const path of ["/declared", "/flood"]) assert.equal((await proxy.get(path)).status, 413);
    await proxy.origin.idle();
    assert.equal(proxy.engine.scans.length, 0);
  });
});

test("a request that was ours before is 508 (P29)", async () => {
  await using proxy = await openProxy(() => ok("x"));
  assert.equal((await proxy.get("/x", ["Via: 1.1 clamgate-test"])).status, 508);
});

test("while only test signatures are loaded, every answer says so", async () => {
  await using proxy = await openProxy(({ path }) => ok(path === "/v" ? virusMark : "x"), { front: { isTestOnly: () => true } });
  for (const [path, status] of [
    ["/x", 200],
    ["/v", 409],
  ] as const) {
    const answer = await proxy.get(path);
    assert.deepEqual([answer.status, answer.header("x-clamgate-signatures")], [status, "test-only"]);
  }
  const answer = await ask(proxy.port, requestText("/x"));
  assert.deepEqual([answer.status, answer.header("x-clamgate-signatures")], [400, "test-only"]);
});

test("an origin on a forbidden address is 403, counted, and never connected to (S16, S25)", async () => {
  await using other = await startFakeOrigin(() => ok("secret"));
  await using proxy = await openProxy(() => ok("x"), { isAllowed: false });
  const answer = await ask(proxy.port, requestText("/x", [`Download-From: http://127.0.0.1:${other.port}/`]));
  assert.deepEqual([answer.status, answer.body.toString()], [403, '{"detail":"This origin is not allowed"}']);
  assert.equal(other.accepted(), 0);
  const denied = proxy.events.filter((event) => event.kind === "download-denied");
  assert.deepEqual(
    denied.map(({ peer, host }) => [peer, host]),
    [["127.0.0.1", "127.0.0.1"]],
  );
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { end, type FakeOrigin, head, keep, ok, reset, stall, startFakeOrigin } from "../fake/origin.ts";
import { bytesOf, drain, type Given, loopback, recordedUpstream } from "../front/proxy/recorded-upstream.ts";
import { failsWith } from "../front/proxy/refusing.ts";

const at = (origin: FakeOrigin, path = "/") => `http://127.0.0.1:${origin.port}${path}`;
const open = (given: Given = {}) => recordedUpstream({ allowPrivate: loopback, ...given });

describe("fetchUpstream hands on what the origin sent", () => {
  for (const size of [0, 1, 63, 64, 65, 66, 67, 68, 69, 1023, 1024, 1025, 65_535, 65_536, 65_537, 1_048_575, 1_048_576]) {
    test(`${size} bytes, by length, in chunks and up to the end of the connection (P1, P22, P47)`, async () => {
      const body = Buffer.alloc(size, "0123456789abcdef");
      const chunked = [head(200, "Transfer-Encoding: chunked")];
      for (let start = 0; start < size; start += 50_000) {
        const chunk = body.subarray(start, start + 50_000);
        chunked.push(`${chunk.length.toString(16)};x=y\r\n${chunk.toString("latin1")}\r\n`);
      }
      const acts = {
        "/length": ok(body),
        "/chunked": keep(...chunked, "0\r\nX-Trailer: dropped\r\n\r\n"),
        "/end": end(head(200), body),
      } as const;
      await using origin = await startFakeOrigin(({ path }) => acts[path as keyof typeof acts]);
      await using upstream = open({ names: {} });
      for (const path of Object.keys(acts)) {
        const response = await upstream.fetch(at(origin, path), { maxBytes: 1_048_576 });
        assert.equal(response.status, 200);
        assert.equal(response.declaredBytes, path === "/length" ? size : null);
        assert.ok((await bytesOf(response.body)).equals(body), path);
      }
    });
  }

  test("all lines of the head: order, case, repetition and bytes (P40)", async () => {
    const lines = [
      "X-b: 2",
      "x-B: 1",
      "Content-Type: text/plain; charset=\xe9",
      "Set-Cookie: a",
      "Set-Cookie: b",
      "Content-Length: 0",
    ];
    await using origin = await startFakeOrigin(() => keep(head(418, ...lines)));
    await using upstream = open();
    const { status, rawHeaders, body } = await upstream.fetch(at(origin));
    await drain(body);
    assert.equal(status, 418);
    assert.deepEqual(
      rawHeaders,
      lines.flatMap((line) => line.split(": ")),
    );
  });

  test("encoded bodies as they are, and asks for none (P21)", async () => {
    const zipped = gzipSync("hello");
    await using origin = await startFakeOrigin(() => ok(zipped, "Content-Encoding: gzip"));
    await using upstream = open();
    const { body, rawHeaders } = await upstream.fetch(at(origin), { rawHeaders: ["Accept-Encoding", "gzip, br"] });
    assert.ok((await bytesOf(body)).equals(zipped));
    assert.ok(rawHeaders.includes("Content-Encoding"));
    assert.deepEqual(
      origin.requests[0]?.lines.filter((line) => /^accept-encoding/i.test(line)),
      ["Accept-Encoding: identity"],
    );
  });

  test("the status as it is, with the body of errors (P42)", async () => {
    await using origin = await startFakeOrigin(({ path }) => keep(head(Number(path.slice(1)), "Content-Length: 2"), "no"));
    await using upstream = open();
    for (const status of [201, 203, 400, 401, 404, 410, 416, 429, 500]) {
      const response = await upstream.fetch(at(origin, `/${status}`));
      assert.equal(response.status, status);
      assert.equal((await bytesOf(response.body)).toString(), "no");
    }
  });

  test("204 and 304 without a body, whatever length they state (P43)", async () => {
    await using origin = await startFakeOrigin(({ path }) =>
      keep(head(Number(path.slice(1)), "Content-Length: 99999999", "ETag: x")),
    );
    await using upstream = open();
    for (const status of [204, 304]) {
      const response = await upstream.fetch(at(origin, `/${status}`), { maxBytes: 1_000_000_000 });
      assert.deepEqual([response.status, await drain(response.body)], [status, 0]);
    }
    const { declaredBytes } = await upstream.fetch(at(origin, "/304"), { maxBytes: 10 });
    assert.equal(declaredBytes, 99_999_999);
  });

  test("the head of a HEAD, with the length a GET would have, however large (P44)", async () => {
    await using origin = await startFakeOrigin(() => keep(head(200, "Content-Length: 99999999", "ETag: x")));
    await using upstream = open();
    const response = await upstream.fetch(at(origin), { method: "HEAD", maxBytes: 10 });
    assert.deepEqual([response.status, response.declaredBytes, await drain(response.body)], [200, 99_999_999, 0]);
    assert.equal(origin.requests[0]?.method, "HEAD");
  });

  test("the final answer after 1xx ones that nobody asked for, on a connection that goes on", async () => {
    const interim = [100, 100, 103, 102, 199].map((status) => head(status, "Link: </x>")).join("");
    let asked = 0;
    await using origin = await startFakeOrigin(() => {
      asked += 1;
      const answer = [head(200, "Content-Length: 1"), String(asked)];
      return asked % 2 === 0 ? keep(interim, ...answer) : keep([interim, ...answer].join(""));
    });
    await using upstream = open();
    for (const expected of ["1", "2", "3", "4", "5"]) {
      const { status, body, rawHeaders } = await upstream.fetch(at(origin));
      assert.deepEqual([status, (await bytesOf(body)).toString(), rawHeaders.includes("Link")], [200, expected, false]);
    }
    assert.ok(origin.accepted() <= 2, `${origin.accepted()} connections for 5 requests`);
  });

  for (const [what, answer] of Object.entries({
    "bare line feeds": "HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nok",
    "a folded line": "HTTP/1.1 200 OK\r\nX-A:\r\n\t 1\r\nContent-Length: 2\r\n\r\nok",
    "one length said twice": "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\ncontent-length:2\r\n\r\nok",
    "no reason, and chunks": "HTTP/1.1 200\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  })) {
    test(`an answer with ${what} (RFC 9112 §2.2, §5.2, §6.3)`, async () => {
      await using origin = await startFakeOrigin(() => keep(answer));
      await using upstream = open();
      for (let round = 0; round < 5; round += 1) {
        const { body, rawHeaders } = await upstream.fetch(at(origin));
        assert.equal((await bytesOf(body)).toString(), "ok");
        assert.deepEqual(rawHeaders.slice(0, 2), ["X-A", "1"]);
      }
      assert.ok(origin.accepted() <= 2, `${origin.accepted()} connections for 5 requests`);
    });
  }

  test("path and query byte for byte (P2)", async () => {
    await using origin = await startFakeOrigin(() => ok(""));
    await using upstream = open();
    const path = "/a%2Fb%3F%23%20+;c/@x%2fy?s=%2F+%20;'\"&t=caf\xc3\xa9{}|^`";
    const target = { scheme: "http", host: "127.0.0.1", port: origin.port, path } as const;
    const { body, finalUrl } = await upstream.fetch(at(origin), { target });
    await drain(body);
    assert.equal(origin.requests[0]?.path, path);
    assert.equal(finalUrl, at(origin, path));
  });
});

describe("fetchUpstream refuses answers that are not whole or not clear", () => {
  const broken = {
    "a reset in the middle (P26)": () => reset(head(200, "Content-Length: 100"), "x".repeat(50)),
    "an end short of Content-Length (P26)": () => end(head(200, "Content-Length: 100"), "x".repeat(99)),
    "a missing last chunk (P26)": () => end(head(200, "Transfer-Encoding: chunked"), "5\r\nhello\r\n"),
    "a chunk cut short (P26)": () => end(head(200, "Transfer-Encoding: chunked"), "5\r\nhel"),
    "a last chunk without its end (P26)": () => end(head(200, "Transfer-Encoding: chunked"), "5\r\nhello\r\n0\r\n"),
    "a chunk size that is none": () => end(head(200, "Transfer-Encoding: chunked"), "5\r\nhello\r\nxyz\r\n"),
    "a reset where only the end of the connection ends the body (P26)": () => reset(head(200), "x".repeat(50)),
  };
  for (const [what, act] of Object.entries(broken)) {
    test(what, async () => {
      await using origin = await startFakeOrigin(act);
      await using upstream = open();
      const { body } = await upstream.fetch(at(origin));
      await assert.rejects(drain(body), failsWith("upstream-failed", "The origin's answer broke off"));
      assert.equal(origin.requests.length, 1, "nothing is asked again once a body has begun");
    });
  }

  const unclear = {
    "both lengths, chunked first (P22)": ["Transfer-Encoding: chunked", "Content-Length: 5"],
    "both lengths, Content-Length first (P22)": ["Content-Length: 5", "Transfer-Encoding: chunked"],
    "two Content-Length that differ": ["Content-Length: 5", "Content-Length: 6"],
    "a Content-Length list": ["Content-Length: 5, 5"],
    "a negative Content-Length": ["Content-Length: -1"],
    "a Content-Length that is no number": ["Content-Length: 0x5"],
    "an enormous Content-Length": ["Content-Length: 99999999999999999999999"],
    "a transfer coding besides chunked": ["Transfer-Encoding: gzip, chunked"],
    "a transfer coding that is not chunked": ["Transfer-Encoding: identity"],
    "chunked twice": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "a head of 100 KB": [`X-Large: ${"x".repeat(100_000)}`],
    "ten thousand lines": Array.from({ length: 10_000 }, (_, index) => `X-${index}: y`),
    "NUL in a value": ["X-A: \0"],
  };
  for (const [what, lines] of Object.entries(unclear)) {
    test(what, async () => {
      await using origin = await startFakeOrigin(() => end(head(200, ...lines), "5\r\nhello\r\n0\r\n\r\n"));
      await using upstream = open();
      await assert.rejects(upstream.fetch(at(origin)), failsWith("upstream-failed"));
      await origin.idle();
    });
  }

  const start = "HTTP/1.1 200 OK\r\n";
  for (const [text, reason] of [
    ["SSH-2.0-x\r\n\r\n", "The origin's answer is not HTTP"],
    [`\r\n${start}Content-Length : 5\r\n\r\nhello`, "The origin's answer begins with an empty line"],
    ["HTTP/1.1 200 OK\r\nX", "The origin's answer broke off in its head"],
    ["HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n", "The origin changes to a protocol that nobody asked for"],
    [head(100).repeat(10_000), "The head of the origin's answer is too large"],
    [`${start}X-Large: ${"x".repeat(100_000)}`, "The head of the origin's answer is too large"],
    [`${start}X A: 1\r\n\r\n`, "The origin's answer has a space in the name of a header"],
    [`${start}X-A: 1\rX-B: 2\r\n\r\n`, "The origin's answer has a bare CR in a header"],
    [`${start}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, "The origin's answer has no clear length"],
    [`${start}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, "The origin's answer has two lengths"],
  ] as const) {
    test(`${JSON.stringify(text.slice(0, 60))}: with its reason`, async () => {
      await using origin = await startFakeOrigin(() => end(text));
      await using upstream = open({ maxRetries: 0 });
      await assert.rejects(upstream.fetch(at(origin)), failsWith("upstream-failed", reason));
      await origin.idle();
    });
  }

  for (const [what, text] of [
    ["no HTTP at all", "SSH-2.0-OpenSSH_9.9\r\n\r\n"],
    ["HTTP/0.9", "<html>hello</html>"],
    ["a status that is none", "HTTP/1.1 2x0 OK\r\n\r\n"],
    ["101", "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"],
    ["status 600", "HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n"],
  ] as const) {
    test(what, async () => {
      await using origin = await startFakeOrigin(() => end(text));
      await using upstream = open({ maxRetries: 0 });
      await assert.rejects(upstream.fetch(at(origin)), failsWith("upstream-failed"));
    });
  }

  test("206 that nobody asked for, also when the client did (P27)", async () => {
    await using origin = await startFakeOrigin(() => keep(head(206, "Content-Range: bytes 0-1/9", "Content-Length: 2"), "xy"));
    await using upstream = open();
    await assert.rejects(upstream.fetch(at(origin), { rawHeaders: ["Range", "bytes=0-1"] }), failsWith("upstream-failed"));
    assert.equal(origin.requests[0]?.header("range"), undefined);
  });

  test("what comes after a whole answer is not the next one's", async () => {
    await using origin = await startFakeOrigin(({ earlier }) =>
      earlier === 0 ? keep(head(200, "Content-Length: 1"), `x${head(200, "Content-Length: 6")}poison`) : ok("poison"),
    );
    await using upstream = open();
    for (let round = 0; round < 3; round += 1)
      assert.equal((await bytesOf((await upstream.fetch(at(origin))).body)).toString(), "x");
  });
});

describe("fetchUpstream keeps to the limit (P28)", () => {
  test("a Content-Length above it is refused at once, at it is not", async () => {
    await using origin = await startFakeOrigin(() => stall(head(200, "Content-Length: 11")));
    await using upstream = open();
    await assert.rejects(upstream.fetch(at(origin), { maxBytes: 10 }), failsWith("too-large"));
    await origin.idle();
    const { body } = await upstream.fetch(at(origin), { maxBytes: 11 });
    const reading = drain(body);
    await upstream.close();
    await assert.rejects(reading);
  });

  for (const [what, lines] of [
    ["chunked", ["Transfer-Encoding: chunked"]],
    ["without a length", []],
  ] as const) {
    test(`an endless body ${what} is cut soon after it, and nothing above it is handed on (P75)`, async () => {
      const chunk = Buffer.from(lines.length > 0 ? `4000\r\n${"x".repeat(0x4000)}\r\n` : "x".repeat(0x4000));
      await using origin = await startFakeOrigin(() => ({ kind: "flood", head: head(200, ...lines), chunk }));
      await using upstream = open();
      const { body } = await upstream.fetch(at(origin), { maxBytes: 1_000_000 });
      let bytes = 0;
      const reading = (async () => {
        for await (const piece of body) bytes += piece.length;
      })();
      await assert.rejects(reading, failsWith("too-large"));
      assert.ok(bytes <= 1_000_000);
      await origin.idle();
    });
  }

  test("a body of exactly the limit is whole, one byte more is not", async () => {
    await using origin = await startFakeOrigin(({ path }) => end(head(200), "x".repeat(Number(path.slice(1)))));
    await using upstream = open();
    for (const size of [99, 100])
      assert.equal(await drain((await upstream.fetch(at(origin, `/${size}`), { maxBytes: 100 })).body), size);
    const { body } = await upstream.fetch(at(origin, "/101"), { maxBytes: 100 });
    await assert.rejects(drain(body), failsWith("too-large"));
  });

  test("a reader that falls behind and catches up gets every byte, again and again", async () => {
    const sent = Buffer.alloc(8_000_000, "0123456789abcdefghij-");
    await using origin = await startFakeOrigin(() => ok(sent));
    await using upstream = open();
    const { body } = await upstream.fetch(at(origin), { maxBytes: sent.length });
    const read: Uint8Array[] = [];
    for await (const chunk of body) {
      read.push(chunk);
      if (read.length % 40 === 1) for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(Buffer.concat(read).equals(sent));
  });

  for (const [how, act] of [
    ["keeps the connection", keep],
    ["ends it", end],
  ] as const) {
    test(`a slow reader gets every byte of a large body whose origin ${how}`, async () => {
      const sent = Buffer.alloc(8_000_000, "0123456789");
      await using origin = await startFakeOrigin(() => act(head(200, `Content-Length: ${sent.length}`), sent));
      await using upstream = open();
      const { body } = await upstream.fetch(at(origin), { maxBytes: sent.length });
      const read: Uint8Array[] = [];
      for await (const chunk of body) {
        read.push(chunk);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      assert.ok(Buffer.concat(read).equals(sent));
    });
  }

  test("a slow reader holds the origin back instead of filling the memory (P74)", async () => {
    await using origin = await startFakeOrigin(() => ({ kind: "flood", head: head(200), chunk: Buffer.alloc(65_536) }));
    await using upstream = open();
    const { body, discard } = await upstream.fetch(at(origin), { maxBytes: 1_000_000_000 });
    const reader = body[Symbol.asyncIterator]();
    assert.equal((await reader.next()).done, false);
    // What sockets hold on both sides is some megabytes; an unbounded queue would go on growing.
    let before = -1;
    for (let still = 0; still < 50; ) {
      still = origin.flooded() === before ? still + 1 : 0;
      before = origin.flooded();
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(origin.flooded() < 64_000_000);
    }
    discard();
    await origin.idle();
  });
});

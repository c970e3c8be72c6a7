import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ClamgateError } from "../../../src/core/errors.ts";
import { end, type FakeOrigin, head, keep, ok, redirect, reset, stall, startFakeOrigin } from "../../fake/origin.ts";
import { bytesOf, drain, type Given, loopback, recordedUpstream } from "./recorded-upstream.ts";
import { failsWith } from "./refusing.ts";

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

  test("the final answer after 1xx ones", async () => {
    await using origin = await startFakeOrigin(() =>
      keep(head(103, "Link: </x>"), head(102), head(200, "Content-Length: 1"), "x"),
    );
    await using upstream = open();
    const { status, body, rawHeaders } = await upstream.fetch(at(origin));
    assert.deepEqual([status, await drain(body), rawHeaders.includes("Link")], [200, 1, false]);
  });

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
    "a folded line": ["X-A: b\r\n c"],
    "a name with a space": ["X A: b"],
    "NUL in a value": ["X-A: \0"],
    "a bare CR in a value": ["X-A: b\rX-Accel-Redirect: /secret"],
  };
  for (const [what, lines] of Object.entries(unclear)) {
    test(what, async () => {
      await using origin = await startFakeOrigin(() => end(head(200, ...lines), "5\r\nhello\r\n0\r\n\r\n"));
      await using upstream = open();
      await assert.rejects(upstream.fetch(at(origin)), failsWith("upstream-failed"));
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

describe("fetchUpstream keeps to its times (P24)", () => {
  const cases = [
    ["an answer that does not come", { headTimeoutMs: 40 }, () => stall(), "The origin took too long to answer"],
    [
      "a head that never ends",
      { headTimeoutMs: 40 },
      () => stall("HTTP/1.1 200 OK\r\nX: "),
      "The origin took too long to answer",
    ],
    ["1xx and nothing more", { headTimeoutMs: 40 }, () => stall(head(102)), "The origin took too long to answer"],
    ["a body that stops", { idleTimeoutMs: 40 }, () => stall(head(200, "Content-Length: 9"), "x"), "The origin stopped sending"],
    ["a body that never begins", { idleTimeoutMs: 40 }, () => stall(head(200)), "The origin stopped sending"],
    [
      "a byte at a time below the minimum rate",
      { idleTimeoutMs: 100, minBytesPerSecond: 100_000 },
      () => ({ kind: "drip", head: head(200), everyMs: 5 }) as const,
      "The origin sent too slowly",
    ],
    [
      "a byte at a time for ever",
      { totalTimeoutMs: 100 },
      () => ({ kind: "drip", head: head(200), everyMs: 5 }) as const,
      "The download took too long",
    ],
    ["an answer that comes after the total time", { totalTimeoutMs: 40 }, () => stall(), "The download took too long"],
  ] as const;
  for (const [what, times, act, text] of cases) {
    test(`${what} ends as too slow: ${text}`, async () => {
      await using origin = await startFakeOrigin(act);
      await using upstream = open({ times });
      const fetching = upstream.fetch(at(origin)).then(({ body }) => drain(body));
      await assert.rejects(fetching, failsWith("upstream-timeout", text));
      await origin.idle();
      assert.equal(origin.requests.length, 1);
    });
  }

  test("a connection that does not come about is too slow, and is called off", async () => {
    const calledOff: string[] = [];
    const connect = (address: string, _port: number, signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => {
          calledOff.push(address);
          reject(signal.reason);
        });
      });
    await using upstream = open({
      connect,
      times: { connectTimeoutMs: 60, nextAddressMs: 5 },
      names: { h: [["1.1.1.1", "::1"]] },
    });
    const refused = failsWith("upstream-timeout", "Connecting to the origin took too long");
    await assert.rejects(upstream.fetch("http://127.0.0.1/"), refused);
    assert.deepEqual(calledOff, ["127.0.0.1"]);
  });

  test("a reader that takes its time is not the origin's fault", async () => {
    await using origin = await startFakeOrigin(() => ok("x".repeat(100_000)));
    await using upstream = open({ times: { idleTimeoutMs: 30, minBytesPerSecond: 1_000_000 } });
    const { body } = await upstream.fetch(at(origin));
    const until = performance.now() + 80;
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(bytes, 100_000);
  });
});

describe("fetchUpstream ends with its signal (P49)", () => {
  for (const [what, act] of [
    ["before the answer", () => stall()],
    ["within the body", () => stall(head(200, "Content-Length: 9"), "x")],
  ] as const) {
    test(what, async () => {
      await using origin = await startFakeOrigin(act);
      await using upstream = open();
      const controller = new AbortController();
      const fetching = upstream.fetch(at(origin), { signal: controller.signal }).then(({ body }) => drain(body));
      while (origin.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const reason = new ClamgateError("client-gone", "The client went away");
      controller.abort(reason);
      await assert.rejects(fetching, reason);
      await origin.idle();
    });
  }

  test("before it begins: nothing is asked or dialled", async () => {
    await using upstream = open({ names: { "h.example": [["1.1.1.1"]] } });
    const reason = new Error("gone");
    await assert.rejects(upstream.fetch("http://h.example/", { signal: AbortSignal.abort(reason) }), reason);
    assert.deepEqual(upstream.dialled, []);
  });

  test("and without one when the body is left or not wanted: the connection goes", async () => {
    await using origin = await startFakeOrigin(() => stall(head(200, "Content-Length: 200000"), "x".repeat(100_000)));
    await using upstream = open();
    const left = await upstream.fetch(at(origin));
    for await (const _ of left.body) break;
    await origin.idle();
    const unwanted = await upstream.fetch(at(origin));
    unwanted.discard();
    unwanted.discard();
    await origin.idle();
  });
});

describe("fetchUpstream tries again (P25)", () => {
  const flaky = (failures: number, act: () => ReturnType<typeof ok>) => {
    let left = failures;
    return startFakeOrigin(() => {
      left -= 1;
      return left >= 0 ? act() : ok("well");
    });
  };

  for (const [what, act] of [
    ["a reset before the head", () => reset()],
    ["an end before the head", () => end()],
    ["502", () => keep(head(502, "Content-Length: 3"), "bad")],
    ["503", () => keep(head(503, "Content-Length: 3"), "bad")],
    ["504", () => end(head(504), "bad")],
  ] as const) {
    test(`after ${what}, twice`, async () => {
      await using origin = await flaky(2, act);
      await using upstream = open();
      const { status, body } = await upstream.fetch(at(origin));
      assert.deepEqual([status, (await bytesOf(body)).toString(), origin.requests.length], [200, "well", 3]);
    });

    test(`after ${what}, not a third time, and not for HEAD`, async () => {
      await using origin = await flaky(9, act);
      await using upstream = open();
      const outcome = (method: "GET" | "HEAD") =>
        upstream.fetch(at(origin), { method }).then(
          (response) => {
            response.discard();
            return response.status;
          },
          (error) => failsWith("upstream-failed")(error),
        );
      await outcome("GET");
      assert.equal(origin.requests.length, 3);
      await outcome("HEAD");
      assert.equal(origin.requests.length, 4);
    });
  }

  test("after a refused connection, with twice the wait and some chance", async () => {
    const waits: number[] = [];
    const random = () => {
      waits.push(1);
      return 0;
    };
    await using upstream = open({ names: { "h.example": [["1.1.1.1"]] }, random });
    await assert.rejects(upstream.fetch("http://h.example/"), failsWith("upstream-failed"));
    assert.deepEqual([upstream.dialled.length, upstream.asked.length, waits.length], [3, 1, 2]);
  });

  test("not after answers that stay, nor against a Retry-After", async () => {
    await using origin = await startFakeOrigin(({ path }) =>
      keep(head(Number(path.slice(1)), "Content-Length: 0", "Retry-After: 9")),
    );
    await using upstream = open();
    for (const status of [400, 404, 500, 501, 503]) {
      const response = await upstream.fetch(at(origin, `/${status}`));
      assert.equal(await drain(response.body), 0);
      assert.equal(response.status, status);
    }
    assert.equal(origin.requests.length, 5);
  });

  test("no longer than anybody waits", async () => {
    const controller = new AbortController();
    await using origin = await startFakeOrigin(() => reset());
    await using upstream = open({ retryAfterMs: 1_000_000 });
    const fetching = upstream.fetch(at(origin), { signal: controller.signal });
    while (origin.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await origin.idle();
    const reason = new Error("gone");
    controller.abort(reason);
    await assert.rejects(fetching, reason);
  });
});

describe("fetchUpstream follows redirects (P23, S9)", () => {
  for (const status of [301, 302, 303, 307, 308]) {
    test(`${status}, relative to the present address, with the method kept and the fragment dropped`, async () => {
      await using origin = await startFakeOrigin(({ path }) =>
        path === "/a/b?c" ? redirect(status, "../d%2Fe?f=%2B#g") : ok("there"),
      );
      await using upstream = open();
      for (const method of ["GET", "HEAD"] as const) {
        const response = await upstream.fetch(at(origin, "/a/b?c"), { method });
        await drain(response.body);
        assert.deepEqual([response.status, response.hops, response.finalUrl], [200, 1, at(origin, "/d%2Fe?f=%2B")]);
      }
      assert.deepEqual(origin.requests.map(({ method, path }) => `${method} ${path}`).slice(0, 2), [
        "GET /a/b?c",
        "GET /d%2Fe?f=%2B",
      ]);
      assert.equal(origin.requests.at(-1)?.method, "HEAD");
    });
  }

  test("five of them, not six", async () => {
    await using origin = await startFakeOrigin(({ path }) =>
      path === "/0" ? ok("there") : redirect(302, `/${Number(path.slice(1)) - 1}`),
    );
    await using upstream = open();
    const { body, hops } = await upstream.fetch(at(origin, "/5"));
    assert.deepEqual([(await bytesOf(body)).toString(), hops], ["there", 5]);
    await assert.rejects(upstream.fetch(at(origin, "/6")), failsWith("upstream-failed", "The origin redirects too often"));
  });

  test("not in a circle", async () => {
    await using origin = await startFakeOrigin(({ path }) => redirect(302, path === "/a" ? "/b" : "/a"));
    await using upstream = open();
    await assert.rejects(upstream.fetch(at(origin, "/a")), failsWith("upstream-failed", "The origin redirects in a circle"));
    assert.equal(origin.requests.length, 2);
  });

  for (const location of [
    "http://",
    "file:///etc/passwd",
    "ftp://h.example/",
    "data:,x",
    "http://u:p@127.0.0.1/",
    "http://a b/",
    "/a\tb",
    "//[::1",
  ]) {
    test(`not to ${JSON.stringify(location)} (S2, S23)`, async () => {
      await using origin = await startFakeOrigin(() => redirect(302, location));
      await using upstream = open();
      await assert.rejects(
        upstream.fetch(at(origin, "/a")),
        failsWith("upstream-failed", "The origin redirects to what is no address"),
      );
    });
  }

  test("not to one of two places", async () => {
    await using origin = await startFakeOrigin(() => keep(head(302, "Location: /a", "Location: /b", "Content-Length: 0")));
    await using upstream = open();
    await assert.rejects(upstream.fetch(at(origin)), failsWith("upstream-failed"));
  });

  test("a redirect without Location, 300 and 304 are answers", async () => {
    await using origin = await startFakeOrigin(({ path }) => keep(head(Number(path.slice(1)), "Content-Length: 0")));
    await using upstream = open();
    for (const status of [300, 302, 304]) assert.equal((await upstream.fetch(at(origin, `/${status}`))).status, status);
  });

  test("to where redirects may lead, and not elsewhere: each hop goes through the gate", async () => {
    const origins: string[] = [];
    await using cdn = await startFakeOrigin(() => ok("blob"));
    await using origin = await startFakeOrigin(({ path }) =>
      redirect(302, path === "/cdn" ? `http://cdn.example:${cdn.port}/x` : "http://evil.example/"),
    );
    const names = { "h.example": [["127.0.0.1"]], "cdn.example": [["127.0.0.1"]], "evil.example": [["1.1.1.1"]] } as const;
    origins.push(`http://h.example:${origin.port}`);
    await using upstream = open({ names, origins, redirectOrigins: [`http://cdn.example:${cdn.port}`] });
    const { body } = await upstream.fetch(`http://h.example:${origin.port}/cdn`);
    assert.equal((await bytesOf(body)).toString(), "blob");
    await assert.rejects(upstream.fetch(`http://h.example:${origin.port}/evil`), failsWith("forbidden"));
    assert.deepEqual(upstream.asked, ["h.example", "cdn.example"]);
  });

  test("with credentials as long as the origin is the same, and never again after it was another", async () => {
    const sent = (origin: FakeOrigin) =>
      origin.requests.map(({ path, header }) => [
        path,
        header("authorization"),
        header("cookie"),
        header("x-token"),
        header("accept"),
      ]);
    await using other = await startFakeOrigin(() => redirect(302, `http://127.0.0.1:${origin.port}/back`));
    await using origin = await startFakeOrigin(({ path }) => {
      if (path === "/") return redirect(302, "/same");
      return path === "/same" ? redirect(302, at(other, "/away")) : ok("");
    });
    await using upstream = open({
      headers: { forwardAuthorization: true, forwardHeaders: ["Cookie", "X-Token"], gatewayId: "t" },
    });
    const rawHeaders = ["Authorization", "Basic x", "Cookie", "c", "X-Token", "t", "Accept", "*/*"];
    const { body } = await upstream.fetch(at(origin), { rawHeaders });
    await drain(body);
    assert.deepEqual(sent(origin), [
      ["/", "Basic x", "c", "t", "*/*"],
      ["/same", "Basic x", "c", "t", "*/*"],
      ["/back", undefined, undefined, undefined, "*/*"],
    ]);
    assert.deepEqual(sent(other), [["/away", undefined, undefined, undefined, "*/*"]]);
  });

  test("with a body beside the Location, small, large or endless, of which nothing is handed on", async () => {
    const bodies = { "/small": () => "x".repeat(100), "/large": () => "x".repeat(1_000_000) } as const;
    await using origin = await startFakeOrigin(({ path }) => {
      if (path === "/there") return ok("there");
      if (path === "/stall") return stall(head(302, "Location: /there", "Content-Length: 9"), "x");
      const text = bodies[path as keyof typeof bodies]();
      return keep(head(302, "Location: /there", `Content-Length: ${text.length}`), text);
    });
    await using upstream = open();
    for (const path of ["/small", "/large", "/stall"])
      assert.equal((await bytesOf((await upstream.fetch(at(origin, path))).body)).toString(), "there");
  });
});

describe("fetchUpstream and Via (P29)", () => {
  test("is seen on the way, and in its own request", async () => {
    await using origin = await startFakeOrigin(() => ok(""));
    await using upstream = open();
    await drain((await upstream.fetch(at(origin))).body);
    const via = origin.requests[0]?.header("via");
    assert.equal(via, "1.1 clamgate-test");
    const looping = upstream.fetch(at(origin), { rawHeaders: ["Via", `1.1 nginx, ${via}`] });
    await assert.rejects(looping, failsWith("request-loop"));
    assert.equal(origin.requests.length, 1);
  });
});

/** What is wrong with a request is never clean, and leaves nothing behind. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../../process/stage.ts";
import { chunked, getHead, okHead, reqmod, respmod } from "./raw-icap.ts";
import { type IcapStage, openIcap } from "./stage.ts";

const head = okHead("A: b");

/** What comes of it with each of the three words. */
async function fails(stage: IcapStage, request: (service: string) => string, status: number): Promise<void> {
  const before = stage.scans.length;
  {
    using client = stage.client();
    await client.send(Buffer.from(request("avscan"), "latin1"));
    assert.equal(await client.ended(), "reset", "reset");
  }
  {
    using client = stage.client();
    await client.send(Buffer.from(request("told"), "latin1"));
    const answer = await client.answer();
    assert.equal(answer.status, status);
    assert.match(answer.head, /\r\nConnection: close\r\nX-Clamgate-Request: \S+\r\nEncapsulated: null-body=0$/);
    assert.equal(await client.ended(), "fin");
  }
  {
    using client = stage.client();
    await client.send(Buffer.from(request("proxy"), "latin1"));
    const answer = await client.answer();
    assert.equal(answer.status, 200);
    assert.match(answer.httpHead ?? "", /^HTTP\/1\.1 503 Service Unavailable\r\n/);
    assert.match(answer.httpHead ?? "", /\r\nRetry-After: 5\r\n/);
    assert.doesNotMatch(answer.head + answer.httpHead, /X-(?!Clamgate-Request)/);
    assert.equal(await client.ended(), "fin");
  }
  await stage.settled();
  assert.equal(stage.scans.length, before, "no scan");
  const codes = stage
    .icapEvents()
    .slice(-3)
    .map(({ code }) => code);
  assert.deepEqual(codes, ["malformed", "malformed", "malformed"]);
}

describe("a request that is not well-formed", () => {
  const n = head.length;
  const compositions: readonly (readonly [string, string, number])[] = [
    ["without Encapsulated", "", 400],
    ["with two", `Encapsulated: res-hdr=0, res-body=${n}\r\nEncapsulated: res-hdr=0, res-body=${n}\r\n`, 400],
    ["with falling offsets", `Encapsulated: res-hdr=${n}, res-body=0\r\n`, 400],
    ["with equal offsets", "Encapsulated: res-hdr=0, res-body=0\r\n", 400],
    ["with a negative offset", "Encapsulated: res-hdr=0, res-body=-1\r\n", 400],
    ["with an offset of 2^40", `Encapsulated: res-hdr=0, res-body=${2 ** 40}\r\n`, 400],
    ["with an unknown name", `Encapsulated: foo=0, res-body=${n}\r\n`, 400],
    ["with a request's body in a response (29)", `Encapsulated: res-hdr=0, req-body=${n}\r\n`, 418],
    ["with an offset one short (30)", `Encapsulated: res-hdr=0, res-body=${n - 1}\r\n`, 400],
    ["with an offset one long (30)", `Encapsulated: res-hdr=0, res-body=${n + 1}\r\n`, 400],
  ];
  for (const [name, line, status] of compositions) {
    test(`${name} fails as the operator has chosen (28)`, async () => {
      await using stage = await openIcap();
      const body = chunked("clean");
      await fails(stage, (service) => `RESPMOD icap://h/${service} ICAP/1.0\r\nAllow: 204\r\n${line}\r\n${head}${body}`, status);
    });
  }

  test("with a head that ends within a section fails (30)", async () => {
    await using stage = await openIcap();
    const responseHead = `${head}Evil: yes\r\n\r\n`;
    await fails(stage, (service) => respmod({ service, fields: "Allow: 204\r\n", responseHead, body: chunked("clean") }), 400);
  });

  for (const chunk of [
    "-1\r\n",
    "0x5\r\nhello\r\n",
    "0123456789abcdef\r\n",
    "\r\n",
    "5\nhello\r\n",
    "5\r\nhelloo\r\n0\r\n\r\n",
  ]) {
    test(`with the chunk ${JSON.stringify(chunk)} fails (38)`, async () => {
      await using stage = await openIcap();
      await fails(stage, (service) => respmod({ service, fields: "Allow: 204\r\n", body: chunk }), 400);
    });
  }

  test("with nothing in it that could be sent back is 418", async () => {
    await using stage = await openIcap();
    await fails(stage, (service) => `REQMOD /${service} ICAP/1.0\r\nEncapsulated: null-body=0\r\n\r\n`, 418);
  });

  test("with an extension of a megabyte fails, and memory stays flat (38)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ body: `5; a=${"x".repeat(1024 * 1024)}\r\nhello\r\n0\r\n\r\n` }));
    assert.equal(await client.ended(), "reset");
  });
});

describe("a request whose body is taken for shorter than it is", () => {
  const post = (bytes: number) => `POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: ${bytes}\r\n\r\n`;

  test("is not clean where its Content-Length tells (35)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(reqmod({ fields: "Allow: 204\r\n", requestHead: post(5), body: chunked("clean") }));
    assert.equal((await client.answer()).status, 204);
    await client.send(reqmod({ service: "told", fields: "Allow: 204\r\n", requestHead: post(6), body: chunked("clean") }));
    assert.equal((await client.answer()).status, 400);
    using other = stage.client();
    await other.send(reqmod({ fields: "Preview: 0\r\n", requestHead: post(6) }));
    assert.equal(await other.ended(), "reset");
    assert.equal(stage.icapEvents().at(-1)?.code, "malformed");
  });

  for (const requestHead of [post(19), "PUT http://o/ HTTP/1.1\r\nHost: o\r\n\r\n"]) {
    test("is not clean where a file has made the chunks (36)", async () => {
      await using stage = await openIcap();
      using client = stage.client();
      // oCIS sends a file that ends so as if it were chunked.
      await client.send(reqmod({ fields: "Allow: 204\r\n", requestHead, body: "3\r\nabc\r\n0\r\n\r\nEVIL\r\n0\r\n" }));
      assert.equal(await client.ended(), "reset");
    });
  }

  test("is found infected all the same", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(reqmod({ requestHead: post(99), body: chunked("virus:x") }));
    assert.match((await client.answer()).httpHead ?? "", /^HTTP\/1\.1 403/);
  });
});

describe("a head that cannot be read", () => {
  for (const [text, status] of [
    ["FOO icap://h/avscan ICAP/1.0\r\n\r\n", 501],
    ["RESPMOD icap://h/avscan ICAP/2.0\r\n\r\n", 505],
    [`RESPMOD icap://h/avscan ICAP/1.0\r\nA: ${"x".repeat(17 * 1024)}\r\n\r\n`, 400],
    ["RESPMOD icap://h/avscan ICAP/1.0\r\nHost : h\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\n\r\n", 400],
  ] as const) {
    test(`is answered ${status} whatever the operator has chosen: ${JSON.stringify(text.slice(0, 50))} (47)`, async () => {
      await using stage = await openIcap();
      using client = stage.client();
      await client.send(text);
      const answer = await client.answer();
      assert.equal(answer.status, status);
      assert.match(answer.head, /Connection: close/);
      assert.equal(await client.ended(), "fin");
      const [event] = stage.icapEvents();
      assert.equal(event?.method, "other");
      assert.match(event?.detail ?? "", /\(byte \d+ of the request\)/);
    });
  }

  test("is 404 for a path that is not served, for OPTIONS as well (47)", async () => {
    await using stage = await openIcap({ services: new Set(["avscan"]) });
    using client = stage.client();
    await client.send("OPTIONS icap://h/nope ICAP/1.0\r\n\r\n");
    assert.equal((await client.answer()).status, 404);
    await client.send(reqmod({ service: "nope" }));
    assert.equal((await client.answer()).status, 404);
    await client.send("OPTIONS icap://h/avscan ICAP/1.0\r\n\r\n");
    assert.equal((await client.answer()).status, 200, "the connection goes on where there is no body");
    await client.send(respmod({ service: "nope", body: chunked("virus:x") }));
    assert.equal((await client.answer()).status, 404);
    assert.equal(await client.ended(), "fin");
    assert.deepEqual(stage.scans, []);
  });
});

describe("a client that leaves", () => {
  const whole = respmod({ requestHead: getHead, body: "8\r\nvirus:xx\r\n0\r\nA: b\r\n\r\n" });
  for (const [name, bytes] of [
    ["within a chunk", whole.indexOf("virus") + 3],
    ["within a head", whole.indexOf("HTTP/1.1 200") + 5],
    ["within the ICAP head", 30],
    ["within a trailer", whole.length - 5],
  ] as const) {
    test(`${name} is answered nothing that is clean, and nothing is kept (26)`, async () => {
      await using stage = await openIcap();
      using client = stage.client();
      await client.send(whole.slice(0, bytes));
      client.socket.end();
      assert.ok(["fin", "reset"].includes(await client.ended()));
      await stage.settled();
      assert.deepEqual(stage.scans, []);
    });
  }

  test("while it waits for its verdict gives up its place within a second (I104)", async () => {
    await using stage = await openIcap();
    const release = stage.holdScans();
    using client = stage.client();
    await client.send(respmod({ body: chunked("x".repeat(50_000)) }));
    await eventually("it is scanned", () => stage.scans.length === 1);
    client.socket.resetAndDestroy();
    await eventually("it is told", () => stage.icapEvents()[0]?.answer === "gone");
    release();
    await stage.settled();
  });

  test("within the answer leaves nothing behind", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(respmod({ body: chunked("x".repeat(150_000)) }));
    client.socket.pause();
    await eventually("it is answered", () => stage.scans.length === 1);
    client.socket.resetAndDestroy();
    await stage.settled();
  });
});

describe("a Squid that stops within a download", () => {
  test("is told of once an hour", async () => {
    await using stage = await openIcap();
    for (const size of [65_535, 65_535, 65_534]) {
      using client = stage.client();
      await client.send(respmod({ body: `fffff\r\n${"x".repeat(size)}` }));
      await eventually("all of it has come", () => stage.spool.usage().memoryBytes + stage.spool.usage().fileBytes >= size);
      const before = stage.icapEvents().length;
      client.socket.end();
      await eventually("it is gone", () => stage.icapEvents().length > before);
      await stage.settled();
    }
    const notices = stage.events.filter((event) => event.kind === "notice");
    assert.equal(notices.length, 1);
    assert.match(notices[0]?.message ?? "", /Squid older than 6\.13/);
    stage.events.length = 0;
  });
});

describe("a client that is slow", () => {
  test("in a body is reset, or told 408 (27)", async () => {
    await using stage = await openIcap({ idleTimeoutMs: 100 });
    using client = stage.client();
    await client.send(respmod({ body: "5\r\nhel" }));
    assert.equal(await client.ended(), "reset");
    using told = stage.client();
    await told.send(respmod({ service: "told", body: "5\r\nhel" }));
    assert.equal((await told.answer()).status, 408);
    assert.equal(await told.ended(), "fin");
    await stage.settled();
  });

  test("may trickle a body for as long as it moves", async () => {
    await using stage = await openIcap({ idleTimeoutMs: 400 });
    using client = stage.client();
    await client.send(respmod({ fields: "Allow: 204\r\n", body: "" }));
    for (let turn = 0; turn < 10; turn += 1) {
      await client.send("1\r\nx\r\n");
      await delay(80);
    }
    await client.send("0\r\n\r\n");
    assert.equal((await client.answer()).status, 204);
  });

  test("in a head is told 408, and one that says nothing is let go", async () => {
    await using stage = await openIcap({ headTimeoutMs: 100 });
    using client = stage.client();
    await client.send("RESPMOD icap");
    assert.equal((await client.answer()).status, 408);
    assert.equal(await client.ended(), "fin");
    using silent = stage.client();
    assert.equal(await silent.ended(), "fin");
  });
});

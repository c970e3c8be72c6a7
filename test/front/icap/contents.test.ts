/** Bodies in codings and forms, and bytes that are held back. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { eventually } from "../../process/stage.ts";
import { chunked, getHead, okHead, reqmod, respmod } from "./raw-icap.ts";
import { limit, openIcap, type StageOptions } from "./stage.ts";

const latin = (bytes: Buffer) => bytes.toString("latin1");

/** `X-Virus-ID` of the answer, or its status. */
async function verdictOn(request: string, options: StageOptions = {}): Promise<string> {
  await using stage = await openIcap(options);
  using client = stage.client();
  await client.send(Buffer.from(request, "latin1"));
  const { status, field } = await client.answer();
  return field("X-Virus-ID") || String(status);
}

function coded(coding: string, bytes: Buffer): string {
  return respmod({ fields: "Allow: 204\r\n", responseHead: okHead(`Content-Encoding: ${coding}`), body: chunked(bytes) });
}

describe("a body in a content coding", () => {
  const evil = Buffer.from("virus:Inside\n");

  test("is scanned as it unpacks (41)", async () => {
    assert.equal(await verdictOn(coded("gzip", gzipSync(evil))), "Inside");
    assert.equal(await verdictOn(coded("br", brotliCompressSync(evil))), "Inside");
    assert.equal(await verdictOn(coded("gzip, gzip, gzip", gzipSync(gzipSync(gzipSync(evil))))), "Inside");
    assert.equal(await verdictOn(coded("gzip", gzipSync("clean"))), "204");
    assert.equal(await verdictOn(coded("gzip", evil)), "Inside", "as it came");
  });

  test("is unscannable where it is broken, in too many codings or in an unknown one (41)", async () => {
    const unsupported = /^Heuristics\.Clamgate\.(Unsupported|Coding)$/;
    const four = gzipSync(gzipSync(gzipSync(gzipSync("clean"))));
    for (const [coding, bytes] of [
      ["gzip", gzipSync("clean").subarray(0, -4)],
      ["gzip, gzip, gzip, gzip", four],
      ["x-unknown", Buffer.from("clean")],
    ] as const) {
      assert.match(await verdictOn(coded(coding, bytes)), unsupported, coding);
      assert.equal(await verdictOn(coded(coding, bytes), { allowed: ["unsupported"] }), "204", `${coding}, allowed`);
    }
    const echo = respmod({ responseHead: okHead("Content-Encoding: gzip"), body: chunked("no gzip") });
    await using stage = await openIcap({ allowed: ["unsupported"] });
    using client = stage.client();
    await client.send(echo);
    assert.equal((await client.answer()).body, "no gzip", "what is allowed is sent back");
  });

  test("is not unpacked where it is a part of a file, which is counted (42)", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    const bytes = chunked(gzipSync(evil).subarray(3));
    const status = "HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\n\r\n";
    const byteranges = okHead("Content-Type: multipart/byteranges; boundary=x");
    for (const responseHead of [status, okHead("Content-Encoding: gzip", "Content-Range: bytes 3-9/20"), byteranges]) {
      await client.send(Buffer.from(respmod({ fields: "Allow: 204\r\n", responseHead, body: bytes }), "latin1"));
      assert.equal((await client.answer()).status, 204);
    }
    assert.deepEqual(
      stage.icapEvents().map(({ isPartial }) => isPartial),
      [true, true, true],
    );
  });
});

describe("a form", () => {
  const boundary = "frontier";
  /** The fake engine finds what stands in a part's bytes as they are; base64 hides it from the scan of the whole. */
  const hidden = (name: string) => Buffer.from(`virus:${name}`).toString("base64");
  const part = (head: string, body: string) => `--${boundary}\r\n${head}\r\n\r\n${body}\r\n`;
  const form = (...parts: readonly string[]) => `${parts.join("")}--${boundary}--\r\n`;
  const post = (body: string, type = `multipart/form-data; boundary=${boundary}`) => {
    const requestHead = `POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`;
    return reqmod({ fields: "Allow: 204\r\n", requestHead, body: chunked(body) });
  };
  const base64 = "Content-Transfer-Encoding: base64";
  const file = (name: string) => part(`Content-Disposition: form-data; name="f"; filename="a.zip"\r\n${base64}`, hidden(name));

  test("is scanned part by part, and names all that is found (17, 43)", async () => {
    assert.equal(await verdictOn(post(form(file("One")))), "One");
    const type = part(`Content-Disposition: form-data; name="f"\r\nContent-Type: application/zip\r\n${base64}`, hidden("Typed"));
    assert.equal(await verdictOn(post(form(type))), "Typed");
    const long = `${Buffer.from(`virus:Long\n${"x".repeat(2048)}`).toString("base64")}`;
    assert.equal(await verdictOn(post(form(part(`Content-Disposition: form-data; name="f"\r\n${base64}`, long)))), "Long");
    await using stage = await openIcap();
    using client = stage.client();
    await client.send(
      post(form(file("One"), part('Content-Disposition: form-data; name="t"', "text"), file("Two"), file("Three"))),
    );
    const answer = await client.answer();
    assert.equal(answer.field("X-Virus-ID"), "One");
    assert.equal(answer.field("X-Violations-Found"), "3");
    assert.match(answer.field("Encapsulated"), /^res-hdr=0, res-body/);
  });

  test("is clean where its files are, and its short fields are left alone", async () => {
    await using stage = await openIcap();
    using client = stage.client();
    const clean = part(
      `Content-Disposition: form-data; name="f"; filename="a"\r\n${base64}`,
      Buffer.from("clean").toString("base64"),
    );
    const text = part('Content-Disposition: form-data; name="t"', "some text");
    await client.send(post(form(clean, text)));
    assert.equal((await client.answer()).status, 204);
    assert.deepEqual(stage.scans.slice(1).map(latin), [Buffer.from("clean").toString("base64"), "clean"]);
  });

  test("is unscannable where it is broken, ambiguous or in too many parts (43)", async () => {
    const unsupported = "Heuristics.Clamgate.Unsupported";
    const truncated = form(file("One").replace(hidden("One"), "AAAA")).slice(0, -6);
    assert.equal(await verdictOn(post(truncated)), unsupported);
    assert.equal(await verdictOn(post(form(file("One")), `multipart/form-data; boundary=x; boundary=${boundary}`)), unsupported);
    const many = form(...Array.from({ length: 51 }, (_, at) => part(`Content-Disposition: form-data; name="f${at}"`, "x")));
    assert.equal(await verdictOn(post(many)), "Heuristics.Clamgate.LimitFiles");
    assert.equal(await verdictOn(post(truncated), { allowed: ["unsupported"] }), "204");
  });

  test("in a coding is scanned part by part, unless a receiver could find another form in it", async () => {
    const zipped = (bytes: Buffer) => {
      const requestHead = `POST http://o/ HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=${boundary}\r\nContent-Encoding: gzip\r\n\r\n`;
      return reqmod({ fields: "Allow: 204\r\n", requestHead, body: chunked(bytes) });
    };
    assert.equal(await verdictOn(zipped(gzipSync(form(file("One"))))), "One");
    assert.equal(await verdictOn(zipped(gzipSync(form(file("One")), { level: 0 }))), "Heuristics.Clamgate.Unsupported");
  });

  test("of a response is no form", async () => {
    const responseHead = okHead(`Content-Type: multipart/form-data; boundary=${boundary}`);
    assert.equal(await verdictOn(respmod({ fields: "Allow: 204\r\n", responseHead, body: chunked("no form at all") })), "204");
  });
});

describe("a trickle", () => {
  const trickle = { afterMs: 1, intervalMs: 1, maxBytes: 64 };
  const response = (body: string, fields = "", requestHead: string | null = getHead) =>
    respmod({ fields, requestHead, responseHead: okHead("X-Own: 1"), body: chunked(body) });

  test("sends at most 64 bytes before the verdict, and the rest after it (50)", async () => {
    await using stage = await openIcap({ trickle });
    const release = stage.holdScans();
    using client = stage.client();
    const body = "abcdefghij".repeat(10_000);
    await client.send(response(body));
    await eventually(
      "64 bytes have come",
      () =>
        client
          .received()
          .toString("latin1")
          .match(/\r\n1\r\n/g)?.length === 64,
    );
    const before = client.received().toString("latin1");
    assert.match(
      before,
      /^ICAP\/1\.0 200 OK\r\nServer: clamgate\r\nISTag: [^\r]+\r\nX-Clamgate-Request: \S+\r\nEncapsulated: res-hdr=0, res-body=29\r\n\r\nHTTP/,
    );
    release();
    const answer = await client.answer();
    assert.ok(answer.body === body);
    await eventually("it is logged", () => stage.icapEvents()[0]?.releasedBytes === 64);
    await client.send(response("short"));
    assert.equal((await client.answer()).body, "short");
  });

  test("never sends the last byte before the verdict, and begins while the body still comes", async () => {
    await using stage = await openIcap({ trickle });
    const release = stage.holdScans();
    using client = stage.client();
    const request = response("abcdef");
    await client.send(request.slice(0, -10));
    await eventually("it trickles", () => /\r\n1\r\na\r\n/.test(client.received().toString("latin1")));
    await client.send(request.slice(-10));
    await eventually("five bytes have come", () => client.received().toString("latin1").endsWith("1\r\ne\r\n"));
    await eventually("it is scanned", () => stage.scans.length === 1);
    assert.ok(!client.received().toString("latin1").includes("1\r\nf"));
    release();
    assert.equal((await client.answer()).body, "abcdef");
  });

  for (const what of ["virus:Late", "error:engine-error"]) {
    test(`that must not go on (${what}) is cut without a last chunk, and its address does not trickle again (51)`, async () => {
      await using stage = await openIcap({ trickle });
      const release = stage.holdScans();
      using client = stage.client();
      await client.send(response(`${what}\n${"x".repeat(1000)}`));
      await eventually("it trickles", () => client.received().length > 0);
      release();
      assert.equal(await client.answerOrEnd(), null);
      assert.doesNotMatch(client.received().toString("latin1"), /\r\n0\r\n/);
      assert.equal(stage.icapEvents()[0]?.answer, "cut");
      using again = stage.client();
      const hold = stage.holdScans();
      await again.send(response("virus:Again"));
      await eventually("it is scanned", () => stage.scans.length === 2);
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal(again.received().length, 0);
      hold();
      assert.match((await again.answer()).httpHead ?? "", /^HTTP\/1\.1 403/);
    });
  }

  test("is only for web proxies: not where 204 may be said, not of a request, not without an address (52)", async () => {
    await using stage = await openIcap({ trickle });
    const release = stage.holdScans();
    const body = "x".repeat(1000);
    const requests = [
      response(body, "Allow: 204\r\n"),
      reqmod({ requestHead: "PUT http://o/ HTTP/1.1\r\n\r\n", body: chunked(body) }),
      response(body, "", null),
      respmod({ requestHead: getHead, responseHead: "HTTP/1.1 404 Not Found\r\n\r\n", body: chunked(body) }),
      respmod({ requestHead: getHead, fields: "Preview: 2000\r\n", body: chunked(body, "0; ieof") }),
    ];
    const clients = requests.map(() => stage.client());
    for (const [at, request] of requests.entries()) await clients[at]?.send(request);
    await eventually("all have come", () => stage.spool.usage().bodies >= requests.length);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(
      clients.map((client) => client.received().length),
      requests.map(() => 0),
    );
    release();
    for (const client of clients) assert.ok([200, 204].includes((await client.answer()).status));
  });
});

describe("a body with a marker", () => {
  const marker = "virus:Marker";
  for (const mode of ["strict", "trickle"] as const) {
    test(`is never 204 and never sent back whole, however it comes, in mode ${mode} (59)`, async () => {
      await using stage = await openIcap(mode === "trickle" ? { trickle: { afterMs: 1, intervalMs: 1, maxBytes: 64 } } : {});
      let wrong = 0;
      let count = 0;
      for (const size of [0, 100, 3000, 70_000, limit - 100]) {
        const body = `${"x".repeat(size)}\n${marker}\n`;
        for (const fields of ["", "Allow: 204\r\n", "Preview: 0\r\n", "Preview: 1024\r\nAllow: 204\r\n", "Preview: 1024\r\n"]) {
          for (const make of [reqmod, respmod]) {
            using client = stage.client();
            const [, preview] = /Preview: (\d+)/.exec(fields) ?? [];
            const first = preview === undefined ? body : body.slice(0, Number(preview));
            const isWhole = preview !== undefined && first.length === body.length;
            await client.send(make({ fields, requestHead: getHead, body: chunked(first, isWhole ? "0; ieof" : "0") }));
            let answer = await client.answerOrEnd();
            if (answer?.status === 100) {
              await client.send(chunked(body.slice(first.length)));
              answer = await client.answerOrEnd();
            }
            count += 1;
            if (answer?.status === 204 || answer?.body?.includes(marker)) wrong += 1;
            if (answer !== null) assert.match(answer.httpHead ?? "", /^HTTP\/1\.1 403/);
          }
        }
      }
      assert.equal(count, 50);
      assert.equal(wrong, 0);
    });
  }

  test("leaves nothing behind when 200 clients go in the middle of it (54)", async () => {
    await using stage = await openIcap();
    const request = respmod({ requestHead: getHead, body: chunked(`${"x".repeat(60_000)}${marker}`) });
    for (const share of [0, 0.5, 0.99]) {
      const clients = Array.from({ length: 67 }, () => stage.client());
      for (const client of clients) await client.send(request.slice(0, Math.floor(request.length * share)));
      for (const client of clients) client.socket.resetAndDestroy();
    }
    await eventually("no connection is left", () => stage.server.connections() === 0);
    await stage.settled();
    assert.deepEqual(stage.scans, []);
  });
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { exchange, maxBytes, parseAnswer, request, startRest } from "./rest-server.ts";

const json = "application/json; charset=utf-8";
const tooLarge = '{"Status":"PARSE ERROR","Description":"File size limit exceeded"}';

describe("POST /scanHandlerBody", () => {
  const types = [
    "text/plain",
    "application/octet-stream",
    "application/json",
    "application/x-www-form-urlencoded",
    "nonsense",
    "//;",
    "",
  ];
  for (const type of types) {
    test(`scans the body of type "${type}" and answers in Go's words (rest.md 35)`, async () => {
      await using server = await startRest();
      const headers: Record<string, string> = type === "" ? {} : { "content-type": type };
      const clean = await exchange(server.port, request("POST /scanHandlerBody", headers, "{not json"));
      assert.deepEqual([clean.status, clean.body, clean.headers.get("content-type")], [200, "{OK   200}", json]);
      const infected = await exchange(server.port, request("POST /scanHandlerBody", headers, "virus:Win.Test.EICAR_HDB-1"));
      assert.deepEqual([infected.status, infected.body], [406, "{FOUND Win.Test.EICAR_HDB-1  406}"]);
      assert.equal(infected.headers.get("content-type"), json);
    });
  }

  test("scans an empty body (rest.md 37)", async () => {
    await using server = await startRest();
    for (const headers of [{}, { "content-length": "0" }]) {
      const answer = await exchange(server.port, request("POST /scanHandlerBody", headers));
      assert.deepEqual([answer.status, answer.body], [200, "{OK   200}"]);
    }
    assert.equal(server.fake.calls.length, 2);
  });

  test("reads a chunked body", async () => {
    await using server = await startRest();
    const chunked = request(
      "POST /scanHandlerBody",
      { "transfer-encoding": "chunked" },
      "7\r\nvirus:C\r\n4\r\nhunk\r\n0\r\n\r\n",
    );
    assert.equal((await exchange(server.port, chunked)).body, "{FOUND Chunk  406}");
  });

  test("refuses a body that declares too much, at once and unread (rest.md 36)", async () => {
    await using server = await startRest();
    const socket = connect(server.port, "127.0.0.1");
    // No byte of the body is ever sent, and the answer must not wait for one.
    socket.write(`POST /scanHandlerBody HTTP/1.1\r\nhost: x\r\ncontent-length: ${maxBytes + 1}\r\n\r\n`);
    const [chunk] = (await Array.fromAsync(firstOf(socket))) as [Buffer];
    const answer = parseAnswer(chunk);
    assert.deepEqual([answer.status, answer.body, answer.headers.get("content-type")], [413, tooLarge, json]);
    assert.equal(answer.reason, "Request Entity Too Large");
    assert.deepEqual(server.fake.begun, []);
    socket.destroy();
  });

  test("refuses a chunked body as soon as it is too large, and reads on so that the answer is read (rest.md 36)", async () => {
    await using server = await startRest();
    const chunk = Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(0x10000), Buffer.from("\r\n")]);
    const head = request("POST /scanHandlerBody", { "transfer-encoding": "chunked" });
    const chunks = Array.from({ length: 100 }, () => chunk);
    const answer = await exchange(server.port, head, ...chunks, "0\r\n\r\n");
    assert.deepEqual([answer.status, answer.body], [413, tooLarge]);
  });

  test("takes a body of exactly the limit", async () => {
    await using server = await startRest();
    for (const [size, status] of [
      [maxBytes, 200],
      [maxBytes + 1, 413],
    ] as const) {
      assert.equal((await exchange(server.port, request("POST /scanHandlerBody", {}, Buffer.alloc(size)))).status, status);
    }
  });

  test("answers errors as JSON, never 200 (decided in place of rest.md 36, 38)", async () => {
    await using server = await startRest();
    const answer = await exchange(server.port, request("POST /scanHandlerBody", {}, "error:backend-lost"));
    assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "7"]);
    assert.equal(answer.body, '{"Status":"ERROR","Description":"Scripted backend-lost"}');
  });

  test("tells digest and cache in headers", async () => {
    await using server = await startRest();
    const answer = await exchange(server.port, request("POST /scanHandlerBody", {}, "abc"));
    assert.equal(answer.headers.get("x-clamgate-sha256"), createHash("sha256").update("abc").digest("hex"));
    assert.equal(answer.headers.get("x-clamgate-cache"), "miss");
  });

  test("answers a client that waits to be told to go on", async () => {
    await using server = await startRest();
    const socket = connect(server.port, "127.0.0.1");
    socket.write(
      "POST /scanHandlerBody HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 7\r\n\r\n",
    );
    const chunks: Buffer[] = [];
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      if (chunks.length === 1) socket.write("virus:E");
    }
    const all = Buffer.concat(chunks).toString();
    assert.ok(all.startsWith("HTTP/1.1 100 Continue\r\n\r\n"), all);
    assert.ok(all.endsWith("{FOUND E  406}"), all);
  });
});

async function* firstOf(socket: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of socket) {
    yield chunk;
    return;
  }
}

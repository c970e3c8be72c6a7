import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { hasUnknownExpectation } from "../../src/http/expectations.ts";
import { answerEarly } from "../../src/http/linger.ts";
import { RequestBody } from "../../src/http/request-body.ts";
import { listen, openConnection, openSession, textUntilEnd } from "./both-servers.ts";

const bounds = { maxMs: 10_000, idleMs: 5_000, maxBytes: 1024 };

/** POST /refused is refused by its head, POST /read is read and echoed, GET is answered whatever comes with it. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (hasUnknownExpectation(request)) return void response.writeHead(417).end();
  if (request.method === "GET") return void response.end("got");
  if (request.url === "/refused") {
    await answerEarly(request, response, { status: 413, headers: {}, body: "too large" }, bounds);
    return;
  }
  let text = "";
  for await (const chunk of new RequestBody(request, { idleTimeoutMs: 10_000, minBytesPerSecond: 0, response })) {
    text += Buffer.from(chunk).toString();
  }
  response.end(text);
}

const handler = (request: IncomingMessage, response: ServerResponse) => void serve(request, response);

function head(target: string, expect: string, { method = "POST", length = 5, version = "1.1" } = {}): string {
  return `${method} ${target} HTTP/${version}\r\nHost: x\r\nExpect: ${expect}\r\nContent-Length: ${length}\r\n\r\n`;
}

const continues = /HTTP\/1\.1 100 Continue\r\n\r\n/g;

for (const isSecure of [false, true]) {
  describe(`Expect over HTTP/1 ${isSecure ? "with" : "without"} TLS`, { timeout: 120_000 }, () => {
    test("is met when the body is wanted, once, and the connection goes on", async () => {
      await using listening = await listen(isSecure, handler);
      const client = await openConnection(listening);
      const text = textUntilEnd(client);
      let said = "";
      client.on("data", (chunk: Buffer) => {
        const before = said.match(continues)?.length ?? 0;
        said += chunk.toString("latin1");
        if ((said.match(continues)?.length ?? 0) > before) client.write("hello");
        if (said.endsWith("hello") && before < 2) client.write(head("/read", "100-Continue"));
        if (before === 2 && said.endsWith("hello")) client.end();
      });
      client.write(head("/read", "100-continue"));
      const all = await text;
      assert.match(
        all,
        /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*?hello(?=HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*hello$)/,
      );
      assert.equal(all.match(continues)?.length, 2);
    });

    test("is not met by a refusal, which ends the connection: what comes next may be the body or a request", async () => {
      await using listening = await listen(isSecure, handler);
      const client = await openConnection(listening);
      const text = textUntilEnd(client);
      client.write(head("/refused", "100-continue", { length: 30_000_000 }));
      const all = await text;
      assert.match(all, /^HTTP\/1\.1 413 [\s\S]*\r\nconnection: close\r\n[\s\S]*\r\n\r\ntoo large$/i);
      assert.doesNotMatch(all, continues);
    });

    test("is never met inside another answer, however the requests are sent ahead", async () => {
      await using listening = await listen(isSecure, handler);
      const client = await openConnection(listening);
      const text = textUntilEnd(client);
      client.write(head("/refused", "100-continue", { length: 30_000_000 }).repeat(4));
      assert.match(await text, /^HTTP\/1\.1 413 [\s\S]*\r\n\r\ntoo large$/);
    });

    test("of a request whose body nobody reads ends the connection behind its answer", async () => {
      await using listening = await listen(isSecure, handler);
      const client = await openConnection(listening);
      const text = textUntilEnd(client);
      client.write(head("/", "100-continue", { method: "GET" }));
      client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      assert.match(await text, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\ngot$/);
    });

    test("of anything else is handed on, to be refused", async () => {
      await using listening = await listen(isSecure, handler);
      for (const expect of ["gold", "100-continue, gold", "200-ok"]) {
        const client = await openConnection(listening);
        const text = textUntilEnd(client);
        client.end(head("/read", expect, { length: 0 }));
        assert.match(await text, /^HTTP\/1\.1 417 /);
      }
    });

    test("of HTTP/1.0 is ignored (RFC 9110 §10.1.1)", async () => {
      await using listening = await listen(isSecure, handler);
      for (const expect of ["100-continue", "gold"]) {
        const client = await openConnection(listening);
        const text = textUntilEnd(client);
        client.end(`${head("/read", expect, { version: "1.0" })}hello`);
        assert.match(await text, /^HTTP\/1\.1 200 [\s\S]*hello$/);
      }
    });
  });

  describe(`Expect over HTTP/2 ${isSecure ? "with" : "without"} TLS`, { timeout: 120_000 }, () => {
    async function ask(path: string, expect: string) {
      await using listening = await listen(isSecure, handler);
      const session = openSession(listening);
      const stream = session.request({ ":method": "POST", ":path": path, expect });
      const seen: number[] = [];
      stream.on("continue", () => {
        seen.push(100);
        stream.end("hello");
      });
      stream.on("response", (headers) => {
        seen.push(Number(headers[":status"]));
        stream.end();
      });
      let body = "";
      for await (const chunk of stream) body += String(chunk);
      session.destroy();
      return [...seen, body];
    }

    test("is met when the body is wanted", async () => {
      assert.deepEqual(await ask("/read", "100-continue"), [100, 200, "hello"]);
    });
    test("is not met by a refusal", async () => {
      assert.deepEqual(await ask("/refused", "100-continue"), [413, "too large"]);
    });
    test("of anything else is handed on, to be refused", async () => {
      assert.deepEqual(await ask("/read", "gold"), [417, ""]);
    });
  });
}

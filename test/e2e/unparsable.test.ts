import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";

describe("what never becomes a request", () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startGatewayProcess();
  });
  after(() => gateway[Symbol.asyncDispose]());

  const cases: readonly (readonly [what: string, sent: string, status: number, says?: RegExp])[] = [
    ["a head that is no HTTP", "SCAN THIS\r\n\r\n", 400],
    ["two lengths", "POST /v2/scan HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
    ["a head that is too large", `GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(70_000)}\r\n\r\n`, 431],
    ["a body that ends early", "POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nshort", 400],
    [
      "a target with bytes that belong encoded",
      "GET /scanFile?path=/é HTTP/1.1\r\nHost: x\r\n\r\n",
      400,
      /percent-encoded, as %C3%A9/,
    ],
    ["a target with a control character", "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400, /percent-encoded/],
    ["a target that cannot be decoded", "GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400],
  ];
  for (const [what, sent, status, says] of cases) {
    test(`is answered ${status} in the house's words: ${what}`, async () => {
      const socket = connect({ port: gateway.port, host: "127.0.0.1", allowHalfOpen: true });
      socket.end(sent);
      const [head = "", body = ""] = (await text(socket)).split("\r\n\r\n");
      assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(JSON.parse(body).Status, "ERROR");
      assert.doesNotMatch(body, /FST_|HPE_|Client Error/);
      assert.match(JSON.parse(body).Description, says ?? /./);
    });
  }
});

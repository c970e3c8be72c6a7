/** B4, B5, B16: request heads that two servers would read differently. None of them makes the gateway answer a request within a body. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { marker } from "../live/clamd.ts";
import { type Campaign, campaign, mutated } from "./campaign.ts";
import { sendRaw } from "./raw-answers.ts";

/** Were it taken for a request, it would be answered by `OK`. */
const smuggled = "POST /scanHandlerBody HTTP/1.1\r\nHost: smuggled\r\nContent-Length: 5\r\n\r\nclean";

const framing = fc.constantFrom(
  "Content-Length: {n}",
  "Content-Length: {n}\r\nContent-Length: 0",
  "Content-Length: 0\r\nContent-Length: {n}",
  "Content-Length: {n}\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: chunked\r\nContent-Length: {n}",
  "Transfer-Encoding: xchunked\r\nContent-Length: {n}",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: identity\r\nContent-Length: {n}",
  "Transfer-Encoding : chunked\r\nContent-Length: {n}",
  "Transfer-Encoding:\tchunked\r\nContent-Length: {n}",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: \x0bchunked\r\nContent-Length: {n}",
  "Transfer-Encoding: chunked\nContent-Length: {n}",
  "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: {n}",
  "Content-Length: +{n}",
  "Content-Length: {n},{n}",
  "Content-Length: 0x10",
  "Content-Length: -1",
  "Content-Length: 99999999999999999999",
  "Content-Length : {n}",
  "Content-Length: {n} ",
  "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: {n}",
  "Expect: 100-continue\r\nContent-Length: {n}",
  "Expect: something-else\r\nContent-Length: {n}",
);
const requestLine = fc.constantFrom(
  "POST /scanHandlerBody HTTP/1.1",
  "POST /scanHandlerBody HTTP/1.0",
  "POST http://127.0.0.1/scanHandlerBody HTTP/1.1",
  "POST  /scanHandlerBody HTTP/1.1",
  "POST /scanHandlerBody HTTP/1.1 ",
  "POST /scanHandlerBody HTTP/2.0",
  "GET /version HTTP/1.1",
  "PROPFIND /scanHandlerBody HTTP/1.1",
  "CONNECT 127.0.0.1:80 HTTP/1.1",
  "OPTIONS * HTTP/1.1",
);
const chunkSize = fc.constantFrom(
  "{x}",
  "{x};a=b",
  "0{x}",
  " {x}",
  "{x} ",
  "0x{x}",
  "{x}\n",
  "+{x}",
  "ffffffffffffffff",
  `{x};${"a".repeat(20_000)}`,
);
const host = fc.constantFrom(
  "Host: x",
  "Host: x\r\nHost: y",
  "X: y",
  "Host: a b",
  "Host: x\0y",
  "Host: x\r\nX-Forwarded-For: \u00e9",
);

const request = fc.record({ requestLine, host, framing, chunkSize, isChunked: fc.boolean() }).map((parts): Buffer => {
  const body = `${marker}${smuggled}`;
  const lengthOf = (pattern: string) => pattern.replaceAll("{n}", String(body.length));
  const hex = parts.chunkSize.replaceAll("{x}", body.length.toString(16));
  const sent = parts.isChunked ? `${hex}\r\n${body}\r\n0\r\n\r\n` : body;
  return Buffer.from(`${parts.requestLine}\r\n${parts.host}\r\n${lengthOf(parts.framing)}\r\n\r\n${sent}`, "latin1");
});

const one = `X\r\nContent-Length: 0\r\n\r\n${smuggled}`;
const corpus = [
  `POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  `POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n0\r\n\r\n${smuggled}`,
  `GET /version HTTP/1.1\r\nHost: ${one}`,
  `GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  `POST /v2/scan HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 10\r\n\r\n--B--\r\n`,
  `\r\n\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n`,
  `GET /${"a".repeat(70_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `GET /scanPath?path=${"a".repeat(60_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `POST /v2/scan HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n${"[".repeat(100_000)}`,
  `GET /version HTTP/1.1\r\n${"X: y\r\n".repeat(20_000)}\r\n`,
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\xff\xff",
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "GET /scanFile?path=/a%0d%0aX:%20y HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET /scanFile?path=%00%ff%c0%ae HTTP/1.1\r\nHost: x\r\n\r\n",
].map((text) => Buffer.from(text, "latin1"));

/** @param port of the REST front, or of the download proxy: there it is one more server that must not be talked into anything. */
export function httpHeads(port: number, what: string): Campaign {
  return campaign({
    name: `heads of requests to ${what} (B4, B5, B16)`,
    testRuns: 150,
    arbitrary: fc.oneof({ weight: 3, arbitrary: request }, { weight: 1, arbitrary: mutated(request) }),
    corpus,
    async check(bytes) {
      const text = JSON.stringify(bytes.toString("latin1").slice(0, 600));
      // An end of the body that never comes keeps the connection open: that is waited for only so long.
      const { answers, isGarbled } = await sendRaw(port, bytes, { maxMs: 400, quietMs: 30 });
      assert.ok(!isGarbled || answers.length === 0, `no answer: ${text}`);
      for (const { status, head, body } of answers) {
        assert.ok(status !== 500, `500 for ${text}`);
        assert.ok(!/\r(?!\n)|[^\r]\n|\0/.test(head), `a head with control characters for ${text}`);
        assert.ok(!body.includes(marker), `its own bytes are in the answer to ${text}`);
      }
      // The body holds a virus, so OK could only be an answer to what stands behind it. A whole first request ends before that.
      if (!isWellFramed(bytes))
        assert.ok(!answers.some(({ status, body }) => status === 200 && body.includes("{OK")), `smuggled by ${text}`);
    },
  });
}

/** The request inside is a request of its own where the one before it truly ends in front of it. */
function isWellFramed(bytes: Buffer): boolean {
  const text = bytes.toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  const at = text.indexOf(smuggled);
  if (end === -1 || at === -1) return true;
  const lines = text.slice(0, end).split("\r\n").slice(1);
  const lengths = lines.filter((line) => /^content-length:/i.test(line));
  const codings = lines.filter((line) => /^transfer-encoding[ \t]*:/i.test(line));
  if (codings.length > 0 || lengths.length > 1) return false;
  const length =
    lengths.length === 0 ? 0 : Number(/^content-length:[ \t]*(\d+)[ \t]*$/i.exec(lengths[0] ?? "")?.[1] ?? Number.NaN);
  return Number.isNaN(length) ? false : end + 4 + length <= at;
}

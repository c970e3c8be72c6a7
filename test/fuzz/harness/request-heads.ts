/** B4, B16: request heads that two servers would read differently, each with a virus and a whole request for its body. */

import fc from "fast-check";
import { marker } from "../../live/clamd.ts";
import type { Smuggling } from "../smuggling.ts";
import { mutated } from "./mutated.ts";

/** Stands for the id of the request inside until it is sent. */
export const anyId = "0000000";

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

export function requestsTo({ lines, path, request }: Smuggling): fc.Arbitrary<Buffer> {
  const body = `${marker}${request(anyId)}`;
  const lengthOf = (pattern: string) => pattern.replaceAll("{n}", String(body.length));
  const requestLine = fc.constantFrom(
    "POST /scanHandlerBody HTTP/1.1",
    "POST /scanHandlerBody HTTP/1.0",
    "POST http://127.0.0.1/scanHandlerBody HTTP/1.1",
    "POST  /scanHandlerBody HTTP/1.1",
    "POST /scanHandlerBody HTTP/1.1 ",
    "POST /scanHandlerBody HTTP/2.0",
    `GET ${path} HTTP/1.1`,
    `GET ${path} HTTP/1.0`,
    `GET http://127.0.0.1${path} HTTP/1.1`,
    "PROPFIND /scanHandlerBody HTTP/1.1",
    "CONNECT 127.0.0.1:80 HTTP/1.1",
    "OPTIONS * HTTP/1.1",
  );
  const whole = fc.record({ requestLine, host, framing, chunkSize, isChunked: fc.boolean() }).map((parts): Buffer => {
    const hex = parts.chunkSize.replaceAll("{x}", body.length.toString(16));
    const sent = parts.isChunked ? `${hex}\r\n${body}\r\n0\r\n\r\n` : body;
    const head = `${parts.requestLine}\r\n${parts.host}\r\n${lines}${lengthOf(parts.framing)}`;
    return Buffer.from(`${head}\r\n\r\n${sent}`, "latin1");
  });
  return fc.oneof({ weight: 3, arbitrary: whole }, { weight: 1, arbitrary: mutated(whole) });
}

export function knownTricks({ lines, path, request }: Smuggling): readonly Buffer[] {
  const inside = request(anyId);
  const get = `GET ${path} HTTP/1.1\r\n${lines}`;
  const post = `POST /scanHandlerBody HTTP/1.1\r\n${lines}`;
  const twice = [get, post].flatMap((start) => [
    `${start}Host: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inside}`,
    `${start}Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n0\r\n\r\n${inside}`,
  ]);
  return [
    ...twice,
    `${get}Host: X\r\nContent-Length: 0\r\n\r\n${inside}`,
    `${get}Host: x\r\nContent-Length: ${inside.length}\r\n\r\n${inside}`,
    `POST /v2/scan HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 10\r\n\r\n--B--\r\n`,
    `\r\n\r\n\r\n${get}Host: x\r\n\r\n`,
    `GET /${"a".repeat(70_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `GET /scanPath?path=${"a".repeat(60_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `POST /v2/scan HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n${"[".repeat(100_000)}`,
    `${get}${"X: y\r\n".repeat(20_000)}\r\n`,
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\xff\xff",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "GET /scanFile?path=/a%0d%0aX:%20y HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /scanFile?path=%00%ff%c0%ae HTTP/1.1\r\nHost: x\r\n\r\n",
  ].map((text) => Buffer.from(text, "latin1"));
}

/** True where the bytes hold that request, but the one before it does not truly end in front of it. */
export function isSmuggled(text: string, inside: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  const at = text.indexOf(inside);
  if (end === -1 || at === -1) return false;
  const lines = text.slice(0, end).split("\r\n").slice(1);
  const lengths = lines.filter((line) => /^content-length:/i.test(line));
  const codings = lines.filter((line) => /^transfer-encoding[ \t]*:/i.test(line));
  if (codings.length > 0 || lengths.length > 1) return true;
  const [only = "Content-Length: 0"] = lengths;
  const length = Number(/^content-length:[ \t]*(\d+)[ \t]*$/i.exec(only)?.[1] ?? Number.NaN);
  if (Number.isNaN(length) || end + 4 + length > at) return true;
  // RFC 9112 §2.2: nothing but line ends may stand between two requests.
  return text.slice(end + 4 + length, at).replaceAll("\r\n", "") !== "";
}

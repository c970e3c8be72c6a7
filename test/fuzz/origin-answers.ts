/** B9 and the upstream half of B4: origins whose answers are encoded, mislabelled, or framed in two ways. */

import assert from "node:assert/strict";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import type { OriginAct } from "../fake/origin.ts";
import { end, keep } from "../fake/origin.ts";
import { marker, markerName } from "../live/clamd.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import type { Client } from "./harness/client.ts";
import type { Origin } from "./harness/fronts.ts";
import { mutated } from "./harness/mutated.ts";

const codecs = {
  gzip: (bytes: Buffer) => gzipSync(bytes),
  "x-gzip": (bytes: Buffer) => gzipSync(bytes),
  deflate: (bytes: Buffer) => deflateSync(bytes),
  "x-deflate": (bytes: Buffer) => deflateSync(bytes),
  br: (bytes: Buffer) => brotliCompressSync(bytes),
  zstd: (bytes: Buffer) => zstdCompressSync(bytes),
  identity: (bytes: Buffer) => bytes,
  none: (bytes: Buffer) => bytes,
} as const;
type Coding = keyof typeof codecs;
const codings = Object.keys(codecs) as Coding[]; // the keys of codecs

interface Answer {
  readonly act: OriginAct;
  /** True where a client that decodes as the head says gets the marker. */
  readonly isInfected: boolean;
  readonly recipe: string;
}

const coded = fc
  .record({
    isInfected: fc.boolean(),
    layers: fc.array(fc.constantFrom(...codings), { maxLength: 3 }),
    inOneHeader: fc.boolean(),
    upperCase: fc.boolean(),
    isRawDeflate: fc.boolean(),
    filling: fc.integer({ min: 0, max: 3_000 }),
  })
  .map(({ isInfected, layers, inOneHeader, upperCase, isRawDeflate, filling }): Answer => {
    let bytes: Buffer = Buffer.from(`${"some filling ".repeat(filling)}${isInfected ? marker : "nothing"}`);
    for (const layer of layers) bytes = layer === "deflate" && isRawDeflate ? deflateRawSync(bytes) : codecs[layer](bytes);
    const names = layers.map((layer) => (upperCase ? layer.toUpperCase() : layer));
    const lines = inOneHeader
      ? names.length === 0
        ? []
        : [`Content-Encoding: ${names.join(", ")}`]
      : names.map((name) => `Content-Encoding: ${name}`);
    const head = ["HTTP/1.1 200 OK", `Content-Length: ${bytes.length}`, ...lines, "", ""].join("\r\n");
    return { act: keep(head, bytes), isInfected, recipe: `${layers.join("+") || "plain"}, ${isInfected ? "evil" : "clean"}` };
  });

const badHead = fc.constantFrom(
  "HTTP/1.1 200 OK\r\nContent-Length: {n}\r\nContent-Length: 1\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
  "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: {n}\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length : {n}\r\n\r\n",
  "HTTP/1.1 206 Partial\r\nContent-Length: {n}\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n",
  "HTTP/1.1 204 No Content\r\nContent-Length: {n}\r\n\r\n",
  "HTTP/1.1 304 Not Modified\r\nContent-Length: {n}\r\n\r\n",
  "HTTP/1.0 200 OK\r\n\r\n",
  "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /etc/passwd\r\nContent-Length: {n}\r\n\r\n",
  "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX-Clamgate-Verdict: clean\r\nContent-Length: {n}\r\n\r\n",
  "HTTP/1.1 599 \xff\r\nContent-Length: {n}\r\n\r\n",
  "HTTP/9.9 200 OK\r\nContent-Length: {n}\r\n\r\n",
  "",
);
const broken = mutated(badHead.map((head) => Buffer.from(head.replaceAll("{n}", String(marker.length)) + marker, "latin1"))).map(
  (bytes): Answer => ({ act: end(bytes), isInfected: true, recipe: JSON.stringify(bytes.toString("latin1")) }),
);

/** What some client undoes, or passes over, or goes on to read behind the end. */
const odd = fc
  .tuple(fc.constantFrom("foo", "compress", "x-compress", "bzip2", "br;q=1"), fc.boolean())
  .map(([name, isBehind]): Answer => {
    const evil = gzipSync(marker);
    const [bytes, lines] = isBehind
      ? [Buffer.concat([gzipSync("nothing"), Buffer.alloc(8), evil]), "Content-Encoding: gzip"]
      : [Buffer.from(evil).reverse(), `Content-Encoding: gzip, ${name}`];
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n${lines}\r\n\r\n`;
    return { act: keep(head, bytes), isInfected: true, recipe: `odd: ${lines}` };
  });

/** 64 MiB of nothing in a few KiB, once and twice over. */
function bomb(...layers: readonly Coding[]): Answer {
  let bytes: Buffer = Buffer.alloc(64 * 1024 * 1024);
  for (const layer of layers) bytes = codecs[layer](bytes);
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\nContent-Encoding: ${layers.join(", ")}\r\n\r\n`;
  return { act: keep(head, bytes), isInfected: true, recipe: `bomb of ${layers.join("+")}` };
}

export interface DownloadTarget {
  readonly client: Client;
  readonly proxyUrl: string;
  readonly origin: Origin;
}

export function originAnswers({ client: { fetch }, proxyUrl, origin }: DownloadTarget): Campaign {
  let path = 0;
  return campaign({
    name: "answers of origins (B4, B9)",
    testRuns: 120,
    arbitrary: fc.oneof({ weight: 3, arbitrary: coded }, { weight: 1, arbitrary: odd }, { weight: 2, arbitrary: broken }),
    corpus: [bomb("gzip"), bomb("br"), bomb("zstd"), bomb("gzip", "gzip"), bomb("br", "gzip")],
    least: { delivered: 0.04, blocked: 0.1 },
    async check({ act, isInfected, recipe }, note) {
      path += 1;
      origin.serve(`/answer-${path}`, act);
      const answer = await fetch(`${proxyUrl}/answer-${path}`, {
        headers: { "download-from": origin.base, "cache-scan": "true", "accept-encoding": "identity" },
        signal: AbortSignal.timeout(15_000),
        redirect: "manual",
      });
      // What fetch decodes is what any client decodes.
      const body = await answer.text().catch(() => "undecodable");
      const label = `${answer.status} ${body.slice(0, 200)} for ${recipe}`;
      if (answer.status === 200 && body.endsWith("nothing")) note("delivered");
      if (answer.status === 409 && answer.headers.get("x-clamgate-signature") === markerName) note("blocked");
      assert.ok(answer.status !== 500, label);
      assert.ok(!body.includes(marker), label);
      if (answer.status === 200 && isInfected) assert.ok(isHarmless(body), label);
      for (const name of ["x-accel-redirect", "set-cookie"]) assert.equal(answer.headers.get(name), null, label);
      if (recipe.startsWith("odd")) assert.ok([409, 502].includes(answer.status), label);
      if (recipe.startsWith("bomb")) assert.ok([409, 413, 502, 503].includes(answer.status), label);
    },
  });
}

/** Less than the marker came of it, so the answer was another one than it was made to be. */
function isHarmless(body: string): boolean {
  return body.length < marker.length || !marker.includes(body.slice(0, marker.length));
}

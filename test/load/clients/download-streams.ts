/** Downloads, all at once, each held byte by byte against the file as it is. */

import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { isInfected, streamBodies, streamBytes } from "../servers/stream-body.ts";

export interface StreamsOrder {
  /** Of the download proxy, and of the origin that it is to ask. */
  readonly proxyUrl: string;
  readonly originUrl: string;
  /** The numbers of the files. */
  readonly from: number;
  readonly count: number;
}

export interface DownloadedStream {
  readonly isInfected: boolean;
  /** 0 where there was no answer. */
  readonly status: number;
  /** Of the file: what came with another status than 200 is none of it. */
  readonly bytes: number;
  readonly isWhole: boolean;
  readonly isIdentical: boolean;
  /** To the first byte of the body; NaN where none came. */
  readonly firstByteMs: number;
  readonly ms: number;
  /** The beginning of the body of any other answer than 200. */
  readonly text: string;
}

export async function downloadStreams({ proxyUrl, originUrl, from, count }: StreamsOrder): Promise<readonly DownloadedStream[]> {
  const agent = new Agent({ maxSockets: count });
  const bodies = streamBodies();
  return await Promise.all(Array.from({ length: count }, (_, index) => download(from + index)));

  async function download(number: number): Promise<DownloadedStream> {
    const startedAt = performance.now();
    const headers = { "download-from": `${originUrl}/`, "cache-scan": "true" };
    const asking = get(`${proxyUrl}/${number}`, { agent, headers });
    const base = { isInfected: isInfected(number), firstByteMs: Number.NaN, isWhole: false, isIdentical: true, text: "" };
    const told = await Promise.race([once(asking, "response"), once(asking, "error")]).catch(() => []);
    const [response] = told as [IncomingMessage?]; // as node:http emits it
    if (response?.statusCode === undefined) return { ...base, status: 0, bytes: 0, ms: performance.now() - startedAt };
    const received = response.statusCode === 200 ? await compare(response, bodies(number)) : await drain(response);
    const firstByteMs = received.firstAt - startedAt;
    return { ...base, ...received, firstByteMs, status: response.statusCode, ms: performance.now() - startedAt };
  }
}

async function compare(response: IncomingMessage, expected: Generator<Buffer>) {
  let bytes = 0;
  let isIdentical = true;
  let firstAt = Number.NaN;
  let piece: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (bytes === 0) firstAt = performance.now();
      bytes += chunk.length;
      for (let at = 0; at < chunk.length && isIdentical; ) {
        if (piece.length === 0) piece = expected.next().value ?? Buffer.alloc(0);
        const length = Math.min(piece.length, chunk.length - at);
        isIdentical = length > 0 && chunk.compare(piece, 0, length, at, at + length) === 0;
        piece = piece.subarray(length);
        at += length;
      }
    }
  } catch {} // it was cut: not whole
  return { bytes, isIdentical, firstAt, isWhole: response.complete && bytes === streamBytes };
}

async function drain(response: IncomingMessage) {
  const firstAt = performance.now();
  let text = "";
  for await (const chunk of response) text += chunk;
  return { bytes: 0, isIdentical: true, firstAt, isWhole: false, text: text.slice(0, 200) };
}

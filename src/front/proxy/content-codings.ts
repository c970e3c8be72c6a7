/** Undoes the content codings of an answer, so that what a client will make of it is scanned as well (download-proxy.md P21). */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  type Gunzip,
} from "node:zlib";
import type { SpooledBody } from "../../core/ports.ts";
import { type HeaderLines, listOf } from "./header-lines.ts";
import { brokenAnswer } from "./refusal.ts";

export type ContentCoding = "gzip" | "deflate" | "br" | "zstd";

const maxLayers = 3;

const known: Readonly<Record<string, ContentCoding>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "br",
  zstd: "zstd",
};

/**
 * The codings to undo, outermost first. One that we cannot undo is opaque, and so is all that it covers: most clients cannot either.
 * @throws ClamgateError `upstream-failed` for more layers than anybody means.
 */
export function codingsOf(lines: HeaderLines): readonly ContentCoding[] {
  const codings: ContentCoding[] = [];
  const listed = listOf(lines, "content-encoding").filter((name) => name.toLowerCase() !== "identity");
  for (const name of listed.toReversed()) {
    const coding = known[name.toLowerCase()];
    if (coding === undefined) break;
    codings.push(coding);
  }
  if (codings.length > maxLayers) throw brokenAnswer("The origin's answer is encoded too often");
  return codings;
}

/** Whether anything at all is said to have been done to the body. */
export function isEncoded(lines: HeaderLines): boolean {
  return listOf(lines, "content-encoding").some((name) => name.toLowerCase() !== "identity");
}

export interface Decoding {
  /** Single use. Throws `upstream-failed` where the body is not what its coding says, and what reading it throws. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Whoever made it closes it, read to its end or not. */
  close(): Promise<void>;
}

export async function openDecoding(body: SpooledBody, coding: ContentCoding): Promise<Decoding> {
  const decoder = await decoderOf(body, coding);
  const running = pipeline(Readable.from(body.read(), { objectMode: false }), decoder);
  running.catch(() => {}); // told where the bytes are read
  return {
    bytes: translated(decoder),
    async close() {
      decoder.destroy();
      await running.catch(() => {}); // as above
    },
  };
}

async function* translated(decoder: Gunzip): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of decoder) yield chunk as Uint8Array;
  } catch (error) {
    throw isCodingError(error) ? brokenAnswer("The origin's answer cannot be decoded", error) : error;
  }
}

function isCodingError(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^(Z_|ERR_|ZSTD_)/.test(String(error.code));
}

async function decoderOf(body: SpooledBody, coding: ContentCoding): Promise<Gunzip> {
  switch (coding) {
    case "gzip":
      return createGunzip();
    case "deflate":
      return (await hasZlibHead(body)) ? createInflate() : createInflateRaw();
    case "br":
      return createBrotliDecompress();
    case "zstd":
      return createZstdDecompress();
  }
}

/** RFC 9110 §8.4.1.2: `deflate` is the zlib format, but some servers send it bare, and clients take both. RFC 1950 §2.2 tells them apart. */
async function hasZlibHead(body: SpooledBody): Promise<boolean> {
  const head: number[] = [];
  for await (const bytes of body.read({ end: Math.min(2, body.size) })) head.push(...bytes);
  const [method = 0, flags = 0] = head;
  return (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0;
}

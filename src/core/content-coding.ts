/** Content codings (RFC 9110 §8.4.1): which ones a head names, and how each is undone, strictly, to its end. */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  type Gunzip,
  type ZstdDecompress,
} from "node:zlib";
import { trimBlanks } from "./blanks.ts";
import { ClamgateError } from "./errors.ts";
import type { Codings, Decode } from "./scan-layers.ts";
import type { SpooledBody } from "./spool.ts";

type ContentCoding = "gzip" | "deflate" | "br" | "zstd";

/** More than anybody means. */
const maxCodings = 3;

/**
 * Null: no coding. `x-deflate` is what npm and node-fetch undo, `none` what curl takes for `identity`. `compress` is not here: it is
 * LZW, which axios takes for zlib.
 */
const known: ReadonlyMap<string, ContentCoding | null> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
  ["x-deflate", "deflate"],
  ["br", "br"],
  ["zstd", "zstd"],
  ["identity", null],
  ["none", null],
]);

/**
 * Null where nothing is coded. A coding that is not known covers what is behind it, though some clients pass over it and undo the others.
 * @param lines of the field `Content-Encoding`, in their order.
 * @throws ClamgateError `undecodable` for more than three codings.
 */
export function readCodings(lines: readonly string[]): Codings | null {
  const decoders: Decode[] = [];
  for (const name of namesIn(lines).reverse()) {
    const coding = known.get(name.toLowerCase());
    if (coding === undefined) return { decoders, unknown: name };
    if (coding === null) continue;
    decoders.push((body) => decode(body, coding));
    if (decoders.length > maxCodings) throw undecodable(`The body is in more content codings than ${maxCodings}`);
  }
  return decoders.length === 0 ? null : { decoders, unknown: null };
}

/** Whether anything at all is said to have been done to the body. */
export function isCoded(lines: readonly string[]): boolean {
  return namesIn(lines).some((name) => known.get(name.toLowerCase()) !== null);
}

/** RFC 9110 §5.6.1: of a list over several lines, empty elements left out. */
function namesIn(lines: readonly string[]): string[] {
  return lines.flatMap((line) => line.split(",").map(trimBlanks)).filter((element) => element !== "");
}

function undecodable(publicMessage: string, cause?: unknown): ClamgateError {
  return new ClamgateError("undecodable", publicMessage, { cause });
}

/**
 * Throws `undecodable` where the body is not whole in its coding, or has bytes behind its end that some readers take for more. A second
 * gzip member or zstd frame is such: wget stops before it, curl goes on.
 */
async function* decode(body: SpooledBody, coding: ContentCoding): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = await decoderOf(body, coding);
  const frames = new ZstdFrames();
  let bytes = 0;
  try {
    for await (const chunk of through(coding === "zstd" ? watched(body.read(), frames) : body.read(), decoder)) {
      bytes += chunk.length;
      yield chunk;
    }
    // Node stops at what is no further member or frame, without a word. Some readers go on behind it.
    const isSole = coding === "gzip" ? await isSoleMember(body, bytes) : coding !== "zstd" || frames.isSole;
    if (decoder.bytesWritten !== body.size || !isSole)
      throw undecodable(`The body cannot be decoded: bytes are left over behind the end of its ${coding} coding`);
  } catch (error) {
    throw isCodingError(error)
      ? undecodable(`The body cannot be decoded: its ${coding} coding is broken or unfinished`, error)
      : error;
  }
}

async function* watched(bytes: AsyncIterable<Uint8Array>, frames: ZstdFrames): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of bytes) {
    frames.feed(chunk);
    yield chunk;
  }
}

/** A member ends with the length of what it yields (RFC 1952 §2.3.1), which Node has compared: of several the last one's is less than all, unless the others are empty. */
async function isSoleMember(body: SpooledBody, yieldedBytes: number): Promise<boolean> {
  const end = await bytesOf(body, body.size - 4, body.size);
  return end.readUInt32LE(0) === yieldedBytes % 2 ** 32;
}

async function* through(bytes: AsyncIterable<Uint8Array>, decoder: Decoder): AsyncGenerator<Uint8Array, void, undefined> {
  const running = pipeline(Readable.from(bytes, { objectMode: false }), decoder);
  running.catch(() => {}); // told where the bytes are read
  try {
    for await (const chunk of decoder) yield chunk as Uint8Array;
  } finally {
    decoder.destroy();
    await running.catch(() => {}); // as above
  }
}

type Decoder = Gunzip | ZstdDecompress;

/** RFC 9659: no window of more than 8 MiB; Node would take up 128 MiB of memory for one. */
function zstdDecoder(): ZstdDecompress {
  return createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 23 } });
}

function isCodingError(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^(Z_|ERR_|ZSTD_)/.test(String(error.code));
}

async function decoderOf(body: SpooledBody, coding: ContentCoding): Promise<Decoder> {
  switch (coding) {
    case "gzip":
      return createGunzip();
    case "deflate":
      return await inflateOf(body);
    case "br":
      return createBrotliDecompress();
    case "zstd":
      return zstdDecoder();
  }
}

/**
 * RFC 9110 §8.4.1.2: `deflate` is the zlib format, but some servers send it bare, and clients take both. They look at the method in the first
 * byte (RFC 1950 §2.2), which is 8: a bare stream that begins so is one that no encoder writes, with bits set that mean nothing
 * (RFC 1951 §3.2.4). Other clients try one way, then the other. A body that can be read both ways is therefore refused.
 */
async function inflateOf(body: SpooledBody): Promise<Gunzip> {
  const head = await bytesOf(body, 0, Math.min(5, body.size));
  const [method = 0] = head;
  if ((method & 0x0f) !== 8) return createInflateRaw();
  // Read bare, it begins with a stored block, whose length stands there twice, once inverted.
  const isStored = head.length === 5 && (head.readUInt16LE(1) ^ head.readUInt16LE(3)) === 0xffff;
  if (isStored && (await canBeBare(body)))
    throw undecodable("The body cannot be decoded: its deflate coding can be read in two ways");
  return createInflate();
}

async function bytesOf(body: SpooledBody, start: number, end: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body.read({ start, end })) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** So much is no accident: what is not deflate breaks off sooner. */
const convincingBytes = 1024 * 1024;

async function canBeBare(body: SpooledBody): Promise<boolean> {
  let bytes = 0;
  try {
    for await (const chunk of through(body.read(), createInflateRaw())) {
      bytes += chunk.length;
      if (bytes > convincingBytes) break;
    }
    return true;
  } catch (error) {
    if (isCodingError(error)) return false;
    throw error;
  }
}

const frameMagic = 0xfd2fb528;
/** The lowest four bits are free. */
const skippableMagic = 0x184d2a50;

/** By the frame header descriptor's two-bit fields (§3.1.1.1.1). */
const contentSizeBytes = [0, 2, 4, 8] as const;
const dictionaryIdBytes = [0, 1, 2, 4] as const;

type Stage = "magic" | "descriptor" | "skippable-size" | "block-header";

const stageBytes = { magic: 4, descriptor: 1, "skippable-size": 4, "block-header": 3 } as const satisfies Record<Stage, number>;

/** The frames of a zstd body (RFC 8878 §3.1), told by their headers alone as the bytes pass. */
export class ZstdFrames {
  #stage: Stage = "magic";
  /** The bytes of the stage that have come. */
  readonly #part = Buffer.alloc(4);
  #length = 0;
  #skip = 0;
  #hasChecksum = false;
  #frames = 0;
  #isBroken = false;

  /**
   * Whether what was fed is one frame with content, whole, and besides it none but whole frames to be skipped: some readers take a second one
   * for more of the same, and others never see it.
   */
  get isSole(): boolean {
    return this.#frames === 1 && this.#stage === "magic" && this.#length === 0 && this.#skip === 0 && !this.#isBroken;
  }

  /** Whether the bytes are frames at all is for a decoder to say. */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#isBroken; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
      } else {
        this.#part[this.#length] = bytes[at] ?? 0;
        this.#length += 1;
        at += 1;
        if (this.#length === stageBytes[this.#stage]) this.#read();
      }
    }
  }

  #read(): void {
    const value = this.#part.readUIntLE(0, this.#length);
    this.#length = 0;
    switch (this.#stage) {
      case "magic":
        if (value === frameMagic) this.#stage = "descriptor";
        else if (value - (value % 16) === skippableMagic) this.#stage = "skippable-size";
        else this.#isBroken = true;
        return;
      case "skippable-size":
        this.#skip = value;
        this.#stage = "magic";
        return;
      case "descriptor": {
        const isSingleSegment = (value & 0x20) !== 0;
        const contentSize = value >> 6 === 0 && isSingleSegment ? 1 : (contentSizeBytes[value >> 6] ?? 0);
        this.#skip = (isSingleSegment ? 0 : 1) + (dictionaryIdBytes[value & 3] ?? 0) + contentSize;
        this.#hasChecksum = (value & 4) !== 0;
        this.#frames += 1;
        this.#stage = "block-header";
        return;
      }
      case "block-header": {
        const isLast = (value & 1) !== 0;
        const isRepeatedByte = ((value >> 1) & 3) === 1;
        this.#skip = (isRepeatedByte ? 1 : value >> 3) + (isLast && this.#hasChecksum ? 4 : 0);
        if (isLast) this.#stage = "magic";
        return;
      }
    }
  }
}

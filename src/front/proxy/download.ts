/** One download: fetched, spooled, scanned as it is and as it decodes, and its outcome (download-proxy.md 2.3, P21, P42, P65). */

import { freeChunk } from "../../core/chunk-source.ts";
import type { Clock } from "../../core/clock.ts";
import { isCoded, readCodings } from "../../core/content-coding.ts";
import type { Emit } from "../../core/events.ts";
import type { Scan } from "../../core/scan.ts";
import { type Finding, scanLayers } from "../../core/scan-layers.ts";
import type { SpooledBody } from "../../core/spool.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import type { UrlVerdictCache } from "../../core/verdict-cache.ts";
import type { UpstreamResponse } from "../../egress/fetch-upstream.ts";
import { type HeaderLines, valuesOf } from "../../egress/header-lines.ts";
import type { DownloadRequest } from "./download-request.ts";
import { replaceText } from "./routes/replace-text.ts";
import { hasPieces, type KnownPieces, PieceRecorder } from "./verified/known-pieces.ts";

export interface DownloadHead {
  readonly status: number;
  /** As received. */
  readonly lines: HeaderLines;
  /** See `Framing`. Null for a body that is changed on its way. */
  readonly declaredBytes: number | null;
}

export type Outcome = Received & {
  readonly head: DownloadHead;
  readonly downloadMs: number;
  readonly scanMs: number;
  /** Of the body, where there is one. */
  dispose(): Promise<void>;
};

type Received =
  /** There is nothing to scan, and nothing to deliver but the head. */
  | { readonly kind: "bodiless" }
  /** The policy lets it pass. The body goes with the outcome. */
  | { readonly kind: "passed"; readonly body: SpooledBody; readonly result: Finding }
  /** Its bytes are gone already (H7). */
  | { readonly kind: "blocked"; readonly size: number; readonly result: Finding };

export type Passed = Extract<Outcome, { kind: "passed" }>;

/** What has come so far, for whoever cannot wait. None of it may be taken for clean. */
export class Progress {
  readonly startedAt: number;
  head: DownloadHead | null = null;
  receivedBytes = 0;
  readonly #prefix = new Uint8Array(prefixBytes);

  constructor(startedAt: number) {
    this.startedAt = startedAt;
  }

  received(chunk: Uint8Array): void {
    const room = prefixBytes - this.receivedBytes;
    if (room > 0) this.#prefix.set(chunk.subarray(0, room), this.receivedBytes);
    this.receivedBytes += chunk.length;
  }

  /** The first bytes, `prefixBytes` at most. */
  get prefix(): Uint8Array {
    return this.#prefix.subarray(0, this.receivedBytes);
  }
}

export interface DownloadParts {
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly urlVerdicts: UrlVerdictCache;
  /** Where the pieces of what is remembered as clean are kept. */
  readonly pieces: KnownPieces;
  readonly verdictTtlSeconds: number;
  /** Whether a verdict that was remembered by content may be remembered by address, for as long again. */
  readonly remembersAgain: boolean;
  /** `MAX_FILE_SIZE`, which `scan` enforces as well. */
  readonly maxBytes: number;
  readonly emit: Emit;
  readonly clock: Clock;
}

const prefixBytes = 64;

/** RFC 9110 §15.3.5, §15.3.6, §15.4.5. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** The body of the response is read, or discarded, by the caller. */
export function fetchObject(
  { source, target, lines, client }: DownloadRequest,
  method: "GET" | "HEAD",
  maxBytes: number,
  signal: AbortSignal,
): Promise<UpstreamResponse> {
  return source.fetch({ method, target, rawHeaders: lines, client, signal, maxBytes });
}

/** Rejects with a ClamgateError; nothing is left then. The response is read to its end, or discarded, here. */
export async function receive(
  request: DownloadRequest,
  response: UpstreamResponse,
  progress: Progress,
  signal: AbortSignal,
  parts: DownloadParts,
): Promise<Outcome> {
  const { id, name, client } = request;
  const { status, rawHeaders } = response;
  try {
    const rewritten = request.rewrite.length === 0 ? null : rewrittenBody(request, response);
    const declaredBytes = rewritten === null ? response.declaredBytes : null;
    const head = { status, lines: rawHeaders, declaredBytes };
    progress.head = head;
    if (isBodiless(status)) {
      response.discard();
      return { kind: "bodiless", head, downloadMs: parts.clock() - progress.startedAt, scanMs: 0, dispose: nothing };
    }
    // Nobody else needs them.
    const isTagged = request.mode === "verified-stream" && request.isCacheOn && hasPieces(declaredBytes ?? 0);
    const recorder = isTagged ? new PieceRecorder(parts.pieces, declaredBytes ?? 0) : null;
    const body = new ReceivedBody(rewritten ?? response.body, {
      isOurs: rewritten === null,
      progress,
      recorder,
      clock: parts.clock,
    });
    const codings = readCodings(valuesOf(rawHeaders, "content-encoding"));
    const expected = response.declaredBytes === null ? {} : { expectedBytes: response.declaredBytes };
    const scanned = await scanLayers(parts.scan, body, {
      via: "proxy",
      requestId: id,
      name,
      client,
      signal,
      codings,
      ...expected,
    });
    if (scanned.decoded !== undefined) await scanned.decoded[Symbol.asyncDispose]();
    if (status === 200) remember(request, scanned, recorder, parts);
    const times = { downloadMs: body.endedAt - progress.startedAt, scanMs: parts.clock() - body.endedAt };
    const dispose = () => Promise.resolve(scanned[Symbol.asyncDispose]());
    if (scanned.decision.isAllowed) return { kind: "passed", body: scanned.body, result: scanned, head, ...times, dispose };
    await dispose();
    return { kind: "blocked", size: scanned.body.size, result: scanned, head, ...times, dispose: nothing };
  } catch (error) {
    response.discard();
    throw error;
  }
}

async function nothing(): Promise<void> {}

/** Only what is a text, and is written as one. */
function rewrittenBody({ rewrite }: DownloadRequest, { body, rawHeaders }: UpstreamResponse) {
  if (isCoded(valuesOf(rawHeaders, "content-encoding"))) return null;
  const [type = "", ...others] = valuesOf(rawHeaders, "content-type");
  const isText = /^(text\/|application\/([a-z0-9.-]+\+)?(json|html|xml)\b)/i.test(type);
  return isText && others.length === 0 ? replaceText(body, rewrite) : null;
}

/** Only what the present signatures have found, in all layers. An error, a limit or a relaxation is nothing to remember. */
function remember(request: DownloadRequest, { report }: Finding, recorder: PieceRecorder | null, parts: DownloadParts): void {
  const { verdict, sha256, size, engine, isRemembered } = report;
  if (!request.isCacheOn || verdict.kind === "unscannable" || (isRemembered && !parts.remembersAgain)) return;
  if (parts.engineVersion()?.tag !== engine.tag) return;
  if (verdict.kind === "clean" && recorder !== null) parts.pieces.set(sha256, recorder.finish());
  const key = { address: request.keys.request, tag: engine.tag };
  parts.urlVerdicts.set(key, { verdict, sha256, size }, parts.verdictTtlSeconds);
}

type Chunk = IteratorResult<Uint8Array, unknown>;

interface ReceivedBodyOptions {
  /** Nobody but us and the scan has the chunks: the scan copies each before it asks for the next one. */
  readonly isOurs: boolean;
  readonly progress: Progress;
  readonly recorder: PieceRecorder | null;
  readonly clock: Clock;
}

/** A body on its way into the spool: what has come is counted, and its pieces are tagged. */
class ReceivedBody implements AsyncIterableIterator<Uint8Array, unknown> {
  endedAt: number;
  readonly #source: AsyncIterator<Uint8Array, unknown>;
  readonly #options: ReceivedBodyOptions;
  #last: Uint8Array | null = null;

  constructor(source: AsyncIterator<Uint8Array, unknown>, options: ReceivedBodyOptions) {
    this.#source = source;
    this.#options = options;
    this.endedAt = options.progress.startedAt;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Chunk> {
    if (this.#last !== null && this.#options.isOurs) freeChunk(this.#last);
    this.#last = null;
    return this.#source.next().then(this.#received);
  }

  readonly #received = (result: Chunk): Chunk => {
    if (result.done) {
      this.endedAt = this.#options.clock();
    } else {
      this.#options.progress.received(result.value);
      this.#options.recorder?.update(result.value);
      this.#last = result.value;
    }
    return result;
  };
}

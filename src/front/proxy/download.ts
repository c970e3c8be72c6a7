/** One download: fetched, spooled, scanned as it is and as it decodes, and its outcome (download-proxy.md 2.3, P21, P42, P65). */

import { toClamgateError } from "../../core/errors.ts";
import { freeChunk } from "../../core/free-chunk.ts";
import type { Clock, Observe, SpooledBody, UrlVerdictCache } from "../../core/ports.ts";
import type { Scan, ScannedBody } from "../../core/scan.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import { type ContentCoding, codingsOf, openDecoding } from "./content-codings.ts";
import type { UpstreamResponse } from "./fetch-upstream.ts";
import type { HeaderLines } from "./header-lines.ts";
import { hasPieces, type KnownPieces, PieceRecorder } from "./known-pieces.ts";

export interface DownloadHead {
  readonly status: number;
  /** As received. */
  readonly lines: HeaderLines;
  /** See `Framing`. Null for a body that is changed on its way. */
  readonly declaredBytes: number | null;
}

export type Outcome = Judged & {
  readonly head: DownloadHead;
  readonly downloadMs: number;
  readonly scanMs: number;
} & AsyncDisposable;

type Judged =
  /** There is nothing to scan, and nothing to deliver but the head. */
  | { readonly kind: "bodiless" }
  /** The policy lets it pass. The body goes with the outcome. */
  | { readonly kind: "passed"; readonly body: SpooledBody; readonly judgement: Judgement }
  /** Its bytes are gone already (H7). */
  | { readonly kind: "blocked"; readonly size: number; readonly judgement: Judgement };

/** Of the layer that decided. */
export type Judgement = Pick<ScannedBody, "report" | "decision">;

/** What has come so far, for whoever cannot wait. None of it may be taken for clean. */
export interface Progress {
  readonly head: DownloadHead | null;
  readonly receivedBytes: number;
  /** The first bytes, `prefixBytes` at most. */
  readonly prefix: Uint8Array;
}

export interface Download {
  progress(): Progress;
  /** Rejects with a ClamgateError; nothing is left then. */
  readonly outcome: Promise<Outcome>;
}

export interface DownloadOrder {
  readonly requestId: string;
  /** For the log: the address without its query. */
  readonly name: string;
  /** Called once. The body is read, or discarded, here. */
  readonly fetch: (signal: AbortSignal) => Promise<UpstreamResponse>;
  /** Changes the body before anything else sees it; null for none. */
  readonly rewrite: ((response: UpstreamResponse) => AsyncIterable<Uint8Array> | null) | null;
  /** Where the pieces of what is remembered as clean are kept; null: nowhere. */
  readonly pieces: KnownPieces | null;
  /** `UrlVerdictKey.address` to remember a verdict under; null to remember none. */
  readonly rememberAs: string | null;
  readonly signal: AbortSignal;
}

export interface DownloadParts {
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly urlVerdicts: UrlVerdictCache;
  readonly verdictTtlSeconds: number;
  readonly observe: Observe;
  readonly clock: Clock;
}

export const prefixBytes = 64;

/** RFC 9110 §15.3.5, §15.3.6, §15.4.5. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

export function startDownload(order: DownloadOrder, parts: DownloadParts): Download {
  const { clock } = parts;
  const { requestId, name, signal } = order;
  const startedAt = clock();
  const prefix = new Uint8Array(prefixBytes);
  let head: DownloadHead | null = null;
  let receivedBytes = 0;
  let bodyEndedAt = startedAt;
  let recorder: PieceRecorder | null = null;
  const outcome = run();
  outcome.catch(() => {}); // heard by those who wait, if anybody still does
  return {
    outcome,
    progress: () => ({ head, receivedBytes, prefix: prefix.subarray(0, receivedBytes) }),
  };

  async function run(): Promise<Outcome> {
    const response = await order.fetch(signal);
    try {
      const changed = order.rewrite?.(response) ?? null;
      const declaredBytes = changed === null ? response.declaredBytes : null;
      head = { status: response.status, lines: response.rawHeaders, declaredBytes };
      if (isBodiless(response.status)) {
        response.discard();
        return finished(head, { kind: "bodiless" }, async () => {});
      }
      if (order.pieces !== null && hasPieces(declaredBytes ?? 0)) recorder = new PieceRecorder(order.pieces, declaredBytes ?? 0);
      const expected = response.declaredBytes === null ? {} : { expectedBytes: response.declaredBytes };
      const body = watched(changed ?? response.body, changed === null);
      const raw = await parts.scan(body, { via: "proxy", requestId, name, signal, ...expected });
      return await judged(head, raw);
    } catch (error) {
      response.discard();
      throw error;
    }
  }

  async function judged(known: DownloadHead, raw: ScannedBody): Promise<Outcome> {
    const dispose = async () => {
      await raw[Symbol.asyncDispose]();
    };
    try {
      const judgement = await judgeLayers(raw, known.lines);
      if (known.status === 200) remember(raw.report, judgement);
      const { isAllowed } = judgement.decision;
      if (isAllowed) return finished(known, { kind: "passed", body: raw.body, judgement }, dispose);
      await dispose();
      return finished(known, { kind: "blocked", size: raw.body.size, judgement }, dispose);
    } catch (error) {
      await dispose();
      throw error;
    }
  }

  function finished(known: DownloadHead, what: Judged, dispose: () => Promise<void>): Outcome {
    const times = { downloadMs: bodyEndedAt - startedAt, scanMs: clock() - bodyEndedAt };
    return { ...what, ...times, head: known, [Symbol.asyncDispose]: dispose };
  }

  /** @param isOurs when nobody but us and the scan has the chunks: the scan copies each before it asks for the next one. */
  async function* watched(body: AsyncIterable<Uint8Array>, isOurs: boolean): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of body) {
      if (receivedBytes < prefixBytes) prefix.set(chunk.subarray(0, prefixBytes - receivedBytes), receivedBytes);
      receivedBytes += chunk.length;
      recorder?.update(chunk);
      yield chunk;
      if (isOurs) freeChunk(chunk);
    }
    bodyEndedAt = clock();
  }

  /** Each layer is scanned by itself: nobody knows how many of them a client will take off. The first that is not allowed decides. */
  async function judgeLayers(raw: ScannedBody, lines: HeaderLines): Promise<Judgement> {
    const inner = new AsyncDisposableStack();
    try {
      let layer = raw;
      let relaxed: Judgement | null = raw.decision.relaxedFor === null ? null : raw;
      for (const coding of raw.body.size === 0 ? [] : codingsOf(lines)) {
        if (!layer.decision.isAllowed) break;
        layer = inner.use(await scanDecoded(layer.body, coding));
        if (layer.decision.relaxedFor !== null) relaxed ??= layer;
      }
      const { report, decision } = layer.decision.isAllowed ? (relaxed ?? layer) : layer;
      return { report, decision };
    } finally {
      await inner.disposeAsync();
    }
  }

  async function scanDecoded(body: SpooledBody, coding: ContentCoding): Promise<ScannedBody> {
    const decoding = await openDecoding(body, coding);
    try {
      return await parts.scan(decoding.bytes, { via: "proxy", requestId, name, signal });
    } finally {
      await decoding.close();
    }
  }

  /** Only what the present signatures have found, in all layers. An error, a limit or a relaxation is nothing to remember. */
  function remember({ sha256, size, engine }: ScannedBody["report"], { report }: Judgement): void {
    const tag = report.engine.tag;
    const isPresent = engine.tag === tag && parts.engineVersion()?.tag === tag;
    if (order.rememberAs === null || report.verdict.kind === "unscannable" || !isPresent) return;
    const value = { verdict: report.verdict, sha256, size };
    if (report.verdict.kind === "clean" && recorder !== null) order.pieces?.set(sha256, recorder.finish());
    parts.urlVerdicts.set({ address: order.rememberAs, tag }, value, parts.verdictTtlSeconds).catch((error: unknown) => {
      parts.observe({ kind: "cache-failed", operation: "set", detail: toClamgateError(error).message });
    });
  }
}

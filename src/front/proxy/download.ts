/** One download: fetched, spooled, scanned as it is and as it decodes, and its outcome (download-proxy.md 2.3, P21, P42, P65). */

import type { Clock } from "../../core/clock.ts";
import { readCodings } from "../../core/content-coding.ts";
import type { Emit } from "../../core/events.ts";
import { freeChunk } from "../../core/free-chunk.ts";
import type { Scan } from "../../core/scan.ts";
import { type Finding, type ScannedLayers, scanLayers } from "../../core/scan-layers.ts";
import type { SpooledBody } from "../../core/spool.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import type { UrlVerdictCache } from "../../core/verdict-cache.ts";
import type { UpstreamResponse } from "../../egress/fetch-upstream.ts";
import { type HeaderLines, valuesOf } from "../../egress/header-lines.ts";
import { hasPieces, type KnownPieces, PieceRecorder } from "./verified/known-pieces.ts";

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
  | { readonly kind: "passed"; readonly body: SpooledBody; readonly judgement: Finding }
  /** Its bytes are gone already (H7). */
  | { readonly kind: "blocked"; readonly size: number; readonly judgement: Finding };

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
  /** As `ScanOptions.client`: of a download that others share, the one who began it. */
  readonly client: string;
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
  /** Whether a verdict that was remembered by content may be remembered by address, for as long again. */
  readonly remembersAgain: boolean;
  readonly emit: Emit;
  readonly clock: Clock;
}

const prefixBytes = 64;

/** RFC 9110 §15.3.5, §15.3.6, §15.4.5. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

export function startDownload(order: DownloadOrder, parts: DownloadParts): Download {
  const { clock } = parts;
  const { requestId, name, client, signal } = order;
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
      const codings = readCodings(valuesOf(response.rawHeaders, "content-encoding"));
      const scanned = await scanLayers(parts.scan, body, { via: "proxy", requestId, name, client, signal, codings, ...expected });
      await scanned.decoded?.[Symbol.asyncDispose]();
      return await concluded(head, scanned);
    } catch (error) {
      response.discard();
      throw error;
    }
  }

  async function concluded(known: DownloadHead, judgement: ScannedLayers): Promise<Outcome> {
    const { body, decision } = judgement;
    const dispose = async () => {
      await judgement[Symbol.asyncDispose]();
    };
    if (known.status === 200) remember(judgement);
    if (decision.isAllowed) return finished(known, { kind: "passed", body, judgement }, dispose);
    await dispose();
    return finished(known, { kind: "blocked", size: body.size, judgement }, dispose);
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

  /** Only what the present signatures have found, in all layers. An error, a limit or a relaxation is nothing to remember. */
  function remember({ report: { verdict, sha256, size, engine, isRemembered } }: Finding): void {
    const { tag } = engine;
    if (isRemembered && !parts.remembersAgain) return;
    const isPresent = parts.engineVersion()?.tag === tag;
    if (order.rememberAs === null || verdict.kind === "unscannable" || !isPresent) return;
    const value = { verdict, sha256, size };
    if (verdict.kind === "clean" && recorder !== null) order.pieces?.set(sha256, recorder.finish());
    parts.urlVerdicts.set({ address: order.rememberAs, tag }, value, parts.verdictTtlSeconds);
  }
}

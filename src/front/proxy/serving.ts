/** One understood request on its way to its answer, and the answers that all ways share. */

import { isCoded } from "../../core/content-coding.ts";
import type { Copy, GivenCopies, KnownCopies } from "../../core/given-copies.ts";
import { untilAborted } from "../../core/until-aborted.ts";
import type { UrlVerdict } from "../../core/verdict-cache.ts";
import type { UpstreamResponse } from "../../egress/fetch-upstream.ts";
import { valuesOf } from "../../egress/header-lines.ts";
import { originOf } from "../../egress/target.ts";
import type { ClientExchange } from "./client-exchange.ts";
import { deliverBodiless, deliverPassed, type Passed } from "./deliver.ts";
import type { Download, DownloadHead, DownloadOrder, Outcome } from "./download.ts";
import type { AddressKeys } from "./download-address.ts";
import type { DownloadRecord } from "./download-record.ts";
import type { Asked } from "./download-request.ts";
import { blockedAnswer, type OwnAnswer } from "./own-answer.ts";
import { type ObjectHeadersOptions, objectHeaders } from "./response-headers.ts";
import { replaceText } from "./routes/replace-text.ts";
import { isSelective, type Selection, select, validatorsOf } from "./selection.ts";
import type { CutDrips } from "./shared/trickle.ts";
import type { KnownPieces } from "./verified/known-pieces.ts";

export interface Serving {
  readonly exchange: ClientExchange;
  readonly record: DownloadRecord;
  readonly asked: Asked;
  readonly keys: AddressKeys;
  /** The verdict that is remembered of the address, where it may be. */
  readonly known: UrlVerdict | null;
  readonly pieces: KnownPieces;
  readonly givenCopies: GivenCopies;
  readonly cutDrips: CutDrips;
  readonly passSetCookie: boolean;
  /** `ProxyFrontOptions.maxBytes` */
  readonly maxBytes: number;
}

export function fetchFor(serving: Serving, method: "GET" | "HEAD", signal: AbortSignal): Promise<UpstreamResponse> {
  const { asked, exchange, maxBytes } = serving;
  const { rawHeaders } = exchange.request;
  return asked.source.fetch({ method, target: asked.target, rawHeaders, client: exchange.client, signal, maxBytes });
}

export function orderFor(serving: Serving, signal: AbortSignal, fetch: () => Promise<UpstreamResponse>): DownloadOrder {
  const { exchange, record, asked, keys, pieces } = serving;
  return {
    requestId: record.requestId,
    name: record.url ?? originOf(asked.target),
    client: exchange.client,
    signal,
    fetch,
    rewrite: asked.rewrite.length === 0 ? null : (response) => rewritten(response, asked),
    // Nobody else needs them.
    pieces: asked.mode === "verified-stream" && asked.isCacheOn ? pieces : null,
    rememberAs: asked.isCacheOn ? keys.request : null,
  };
}

export function headerOptions({ asked, passSetCookie }: Serving): ObjectHeadersOptions {
  return { passSetCookie, gatewayId: asked.source.headers.gatewayId, isRewritten: asked.rewrite.length > 0 };
}

/** Rejects with what the download failed with, or with the reason for which this client need not wait any longer. */
export function outcomeOf(download: Download, { exchange }: Serving): Promise<Outcome> {
  return untilAborted(download.outcome, exchange.signal);
}

/** Answers a client that has not been sent anything. */
export async function conclude(serving: Serving, outcome: Outcome): Promise<void> {
  const { exchange, record } = serving;
  note(serving, outcome);
  switch (outcome.kind) {
    case "bodiless": {
      record.outcome = "bodiless";
      const bytes = outcome.head.status === 205 ? 0 : null;
      return deliverBodiless(exchange, outcome.head, objectHeaders(outcome.head, bytes, headerOptions(serving)));
    }
    case "blocked":
      record.outcome = "blocked";
      return await say(exchange, blockedAnswer(outcome.judgement.report.verdict, record.cache));
    case "passed":
      await deliverPassed(exchange, outcome, {
        ...headerOptions(serving),
        cache: record.cache,
        selection: await selectionOf(serving, outcome),
      });
      record.outcome = "delivered";
  }
}

/** Before the first byte of a copy that a client may take for the file, or for a part of it; of a drip, before the rest of it. */
export function give({ exchange, givenCopies, keys }: Serving, copy: Copy): ReturnType<GivenCopies["give"]> {
  return givenCopies.give(keys.address, copy, !isSelective(exchange.request.rawHeaders));
}

export function copyOf({ lines }: DownloadHead, sha256: Copy["sha256"]): Copy {
  return { sha256, validators: validatorsOf(lines) };
}

/** Errors are no parts of the file: whoever keeps them as such would keep anything. Nor is there a part of nothing. */
async function selectionOf(serving: Serving, { head, body }: Passed): Promise<Selection> {
  const { exchange, asked } = serving;
  if (head.status < 200 || head.status > 299) return { kind: "whole" };
  const copy = copyOf(head, body.sha256);
  const isSliceable = head.status === 200 && asked.rewrite.length === 0;
  const given = body.size === 0 ? nothingElse : await give(serving, copy);
  // Of which copy is known when the drip has ended.
  const known = serving.cutDrips.isRunning(serving.keys.address) ? null : given;
  return select(exchange.request.rawHeaders, { copy, lines: head.lines, size: body.size, isSliceable }, known);
}

const nothingElse: KnownCopies = { isSole: () => true, isSoleWith: () => true };

/** For the log, and for the headers that tell of the cache. */
export function note({ record, known }: Serving, outcome: Outcome): void {
  record.downloadMs = outcome.downloadMs;
  record.scanMs = outcome.scanMs;
  if (outcome.kind === "bodiless") return;
  record.size = outcome.kind === "passed" ? outcome.body.size : outcome.size;
  if (outcome.kind === "passed" && known !== null && known.sha256 === outcome.body.sha256) record.cache = "hit";
}

export function say(exchange: ClientExchange, { status, body, lines }: OwnAnswer): Promise<void> {
  return exchange.answer(status, body, lines);
}

/** Only what is a text, and is written as one. */
function rewritten({ body, rawHeaders }: UpstreamResponse, { rewrite }: Asked): AsyncIterable<Uint8Array> | null {
  if (isCoded(valuesOf(rawHeaders, "content-encoding"))) return null;
  const [type = "", ...others] = valuesOf(rawHeaders, "content-type");
  const isText = /^(text\/|application\/([a-z0-9.-]+\+)?(json|html|xml)\b)/i.test(type);
  return isText && others.length === 0 ? replaceText(body, rewrite) : null;
}

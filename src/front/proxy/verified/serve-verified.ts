/** Answers with the origin's own stream where the object is known by its digest, and from a scanned copy where it turns out not to be. */

import type { UrlVerdict, UrlVerdictKey } from "../../../core/verdict-cache.ts";
import type { UpstreamResponse } from "../../../egress/fetch-upstream.ts";
import { brokenAnswer } from "../../../egress/refusal.ts";
import { originOf } from "../../../egress/target.ts";
import { type DownloadParts, startDownload } from "../download.ts";
import { objectHeaders } from "../response-headers.ts";
import { conclude, copyOf, fetchFor, give, headerOptions, orderFor, type Serving } from "../serving.ts";
import type { DownloadSlots } from "../shared/download-slots.ts";
import type { Pieces } from "./known-pieces.ts";
import { mayStream, streamVerified } from "./verified-stream.ts";

export interface ServeVerifiedParts extends DownloadParts {
  readonly slots: DownloadSlots;
}

export interface KnownObject {
  /** Clean. */
  readonly known: UrlVerdict;
  /** Under which that is remembered. */
  readonly key: UrlVerdictKey;
  readonly proof: Pieces;
}

/**
 * Resolves false when nothing has been sent, so that it can still be answered like any other: the file is another one than before, or there
 * are as many streams as may be.
 * Not shared: what streams by is kept nowhere for others to read. Rejects as `serveShared`.
 */
export async function serveVerified(serving: Serving, object: KnownObject, parts: ServeVerifiedParts): Promise<boolean> {
  const { exchange, asked } = serving;
  const release = parts.slots.takeStream(originOf(asked.target));
  if (release === null) return false;
  try {
    const response = await fetchFor(serving, "GET", exchange.signal);
    if (mayStream(response, object.known)) return await stream(serving, response, object, parts);
    const order = orderFor(serving, exchange.signal, async () => response);
    const outcome = await startDownload(order, parts).outcome;
    try {
      await conclude(serving, outcome);
    } finally {
      await outcome[Symbol.asyncDispose]();
    }
    return true;
  } finally {
    release();
  }
}

async function stream(
  serving: Serving,
  response: UpstreamResponse,
  { known, key, proof }: KnownObject,
  { urlVerdicts, clock }: ServeVerifiedParts,
): Promise<boolean> {
  const { exchange, record } = serving;
  const head = { status: response.status, lines: response.rawHeaders, declaredBytes: known.size };
  const startedAt = clock();
  try {
    const isProved = await streamVerified(response.body, proof.tags, serving.pieces.tagger(proof.objectBytes), async (parts) => {
      if (!exchange.hasBegun) {
        await give(serving, copyOf(head, known.sha256));
        exchange.begin(head.status, objectHeaders(head, known.size, headerOptions(serving)));
      }
      await exchange.sendOwn(parts);
    });
    record.downloadMs = clock() - startedAt;
    if (isProved) {
      record.cache = "hit";
      record.size = known.size;
      record.outcome = "delivered";
      exchange.end();
      return true;
    }
  } finally {
    response.discard();
  }
  urlVerdicts.delete(key);
  if (!exchange.hasBegun) return false;
  throw brokenAnswer("The origin's file is not the one that was scanned before");
}

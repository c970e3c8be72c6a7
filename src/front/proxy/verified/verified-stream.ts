/** Answers with the origin's own stream where the object is known by the tags of its pieces: none of it is sent before it is proved (download-proxy.md 2.3, P62). */

import { timingSafeEqual } from "node:crypto";
import { isCoded } from "../../../core/content-coding.ts";
import type { UrlVerdict, UrlVerdictKey } from "../../../core/verdict-cache.ts";
import type { UpstreamResponse } from "../../../egress/fetch-upstream.ts";
import { valuesOf } from "../../../egress/header-lines.ts";
import { brokenAnswer } from "../../../egress/refusal.ts";
import { originOf } from "../../../egress/target.ts";
import { copyOf, type DeliverParts, deliver, give, headerOptions, type Serving } from "../deliver.ts";
import { type DownloadParts, fetchObject, Progress, receive } from "../download.ts";
import { objectHeaders } from "../response-headers.ts";
import type { DownloadSlots } from "../shared/download-slots.ts";
import { type KnownPieces, type Pieces, type PieceTagger, tagBytes } from "./known-pieces.ts";

export interface ServeVerifiedParts extends DownloadParts, DeliverParts {
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
 * Not shared: what streams by is kept nowhere for others to read. Rejects as `deliver`, or with what has begun to be cut.
 */
export async function serveVerified(serving: Serving, object: KnownObject, parts: ServeVerifiedParts): Promise<boolean> {
  const { exchange, request } = serving;
  const release = parts.slots.takeStream(originOf(request.target));
  if (release === null) return false;
  try {
    const response = await fetchObject(request, "GET", parts.maxBytes, exchange.signal);
    if (mayStream(response, object.known)) return await stream(serving, response, object, parts);
    const outcome = await receive(request, response, new Progress(parts.clock()), exchange.signal, parts);
    try {
      await deliver(serving, outcome, parts);
    } finally {
      await outcome.dispose();
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
  parts: ServeVerifiedParts,
): Promise<boolean> {
  const { exchange, record } = serving;
  const { pieces, urlVerdicts, clock } = parts;
  const head = { status: response.status, lines: response.rawHeaders, declaredBytes: known.size };
  const startedAt = clock();
  try {
    const isProved = await streamVerified(response.body, proof.tags, pieces.tagger(proof.objectBytes), async (chunks) => {
      if (!exchange.hasBegun) {
        await give(serving, copyOf(head, known.sha256), parts);
        exchange.begin(head.status, objectHeaders(head, known.size, headerOptions(serving, parts)));
      }
      await exchange.sendOwn(chunks);
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

/** Null where there is nothing to prove it by. */
export function streamablePieces(known: UrlVerdict | null, pieces: KnownPieces): Pieces | null {
  return known?.verdict.kind === "clean" ? pieces.get(known.sha256) : null;
}

/** The same bytes under another coding are something else to the client, which nobody has scanned. */
export function mayStream({ status, declaredBytes, rawHeaders }: UpstreamResponse, known: UrlVerdict): boolean {
  return status === 200 && declaredBytes === known.size && !isCoded(valuesOf(rawHeaders, "content-encoding"));
}

/**
 * Resolves true when all has been sent, piece for piece what was scanned; false at the first piece that is not, of which nothing is sent.
 * To hold back the end alone would not do: a virus that has taken the place of the beginning would be through by then.
 * Rejects with what reading or sending throws.
 * @param tags of what was scanned, by a tagger like this one.
 */
export async function streamVerified(
  body: AsyncIterable<Uint8Array>,
  tags: Uint8Array,
  tagger: PieceTagger,
  send: (parts: readonly Uint8Array[]) => Promise<void>,
): Promise<boolean> {
  let proved = 0;
  let held: Uint8Array[] = [];

  async function release(tag: Buffer): Promise<boolean> {
    const expected = tags.subarray(proved, proved + tagBytes);
    if (expected.length < tagBytes || !timingSafeEqual(tag, expected)) return false;
    const parts = held;
    held = [];
    proved += tagBytes;
    await send(parts);
    return true;
  }

  for await (const chunk of body) {
    for (const { part, tag } of tagger.take(chunk)) {
      held.push(part);
      if (tag !== null && !(await release(tag))) return false;
    }
  }
  const last = tagger.end();
  if (last !== null && !(await release(last))) return false;
  return proved === tags.length;
}

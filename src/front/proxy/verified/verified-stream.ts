/** Streams an object that is known by the tags of its pieces: none of it is sent before it is proved (download-proxy.md 2.3, P62). */

import { timingSafeEqual } from "node:crypto";
import { isCoded } from "../../../core/content-coding.ts";
import type { UrlVerdict } from "../../../core/verdict-cache.ts";
import type { UpstreamResponse } from "../../../egress/fetch-upstream.ts";
import { valuesOf } from "../../../egress/header-lines.ts";
import type { KnownPieces, Pieces } from "./known-pieces.ts";
import { type PieceTagger, tagBytes } from "./known-pieces.ts";

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

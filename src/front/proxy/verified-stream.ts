/** Streams an object that is known by digest, and holds its end back until the digest is proved (download-proxy.md 2.3, P62). */

import { createHash } from "node:crypto";
import type { UrlVerdict } from "../../core/ports.ts";
import { isEncoded } from "./content-codings.ts";
import type { UpstreamResponse } from "./fetch-upstream.ts";

/** Of the end, or one chunk where that is longer. */
export const holdBackBytes = 64 * 1024;

/** An object that is not longer than what is held back gains nothing. */
export function isWorthStreaming(known: UrlVerdict | null): known is UrlVerdict {
  return known !== null && known.verdict.kind === "clean" && known.size > holdBackBytes;
}

/** The same bytes under another coding are something else to the client, which nobody has scanned. */
export function mayStream({ status, declaredBytes, rawHeaders }: UpstreamResponse, known: UrlVerdict): boolean {
  return status === 200 && declaredBytes === known.size && !isEncoded(rawHeaders);
}

/**
 * Resolves true when all has been sent and is what was scanned; false when it is not, and then the end has not been sent.
 * Rejects with what reading or sending throws.
 */
export async function streamVerified(
  body: AsyncIterable<Uint8Array>,
  known: UrlVerdict,
  send: (chunk: Uint8Array, isAfterProof: boolean) => Promise<void>,
): Promise<boolean> {
  const hash = createHash("sha256");
  const held: Uint8Array[] = [];
  let heldBytes = 0;
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.length;
    held.push(chunk);
    heldBytes += chunk.length;
    for (let [next] = held; next !== undefined && heldBytes - next.length >= holdBackBytes; [next] = held) {
      held.shift();
      heldBytes -= next.length;
      await send(next, false);
    }
  }
  if (bytes !== known.size || hash.digest("hex") !== known.sha256) return false;
  for (const chunk of held) await send(chunk, true);
  return true;
}

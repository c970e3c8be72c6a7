/** Streams an object that is known by the digests of its pieces: none of it is sent before it is proved (download-proxy.md 2.3, P62). */

import { createHash } from "node:crypto";
import type { UrlVerdict } from "../../core/ports.ts";
import { isEncoded } from "./content-codings.ts";
import type { UpstreamResponse } from "./fetch-upstream.ts";
import type { KnownPieces, Pieces } from "./known-pieces.ts";

/** Null where there is nothing to prove it by. */
export function streamablePieces(known: UrlVerdict | null, pieces: KnownPieces): Pieces | null {
  return known?.verdict.kind === "clean" ? pieces.get(known.sha256) : null;
}

/** The same bytes under another coding are something else to the client, which nobody has scanned. */
export function mayStream({ status, declaredBytes, rawHeaders }: UpstreamResponse, known: UrlVerdict): boolean {
  return status === 200 && declaredBytes === known.size && !isEncoded(rawHeaders);
}

/**
 * Resolves true when all has been sent, piece for piece what was scanned; false at the first piece that is not, of which nothing is sent.
 * To hold back the end alone would not do: a virus that has taken the place of the beginning would be through by then.
 * Rejects with what reading or sending throws.
 */
export async function streamVerified(
  body: AsyncIterable<Uint8Array>,
  { pieceBytes, digests }: Pieces,
  send: (chunk: Uint8Array) => Promise<void>,
): Promise<boolean> {
  let proved = 0;
  let hash = createHash("sha256");
  let held: Uint8Array[] = [];
  let heldBytes = 0;

  async function release(): Promise<boolean> {
    const expected = digests[proved];
    if (expected === undefined || !hash.digest().equals(expected)) return false;
    for (const part of held) await send(part);
    proved += 1;
    hash = createHash("sha256");
    held = [];
    heldBytes = 0;
    return true;
  }

  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + pieceBytes - heldBytes);
      hash.update(part);
      held.push(part);
      heldBytes += part.length;
      at += part.length;
      if (heldBytes === pieceBytes && !(await release())) return false;
    }
  }
  if (heldBytes > 0 && !(await release())) return false;
  return proved === digests.length;
}

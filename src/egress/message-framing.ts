/** Where an answer's body ends, as its head says; a head that leaves two readings is refused (download-proxy.md P22, P27, P28). */

import { ClamgateError } from "../core/errors.ts";
import { type HeaderLines, valuesOf } from "./header-lines.ts";
import { brokenAnswer } from "./refusal.ts";

export interface Framing {
  /** Bytes by `Content-Length`; of a HEAD or a 304 what a GET would have; null where none was said. */
  readonly declaredBytes: number | null;
}

/**
 * undici's parser refuses most of this too; here it is on record, and does not depend on the parser's leniency.
 * @throws ClamgateError `upstream-failed`
 */
export function readFraming(lines: HeaderLines): Framing {
  const codings = valuesOf(lines, "transfer-encoding");
  const lengths = valuesOf(lines, "content-length");
  if (codings.length > 0 && lengths.length > 0) throw brokenAnswer("The origin's answer has two lengths");
  // Any other coding would have to be undone before the body is the body.
  if (codings.length > 1 || codings.some((coding) => coding.toLowerCase() !== "chunked"))
    throw brokenAnswer("The origin's answer has a transfer coding that is not understood");
  const [length] = lengths;
  if (length === undefined) return { declaredBytes: null };
  if (!/^\d{1,15}$/.test(length) || lengths.some((other) => other !== length))
    throw brokenAnswer("The origin's answer has no clear length");
  return { declaredBytes: Number(length) };
}

/** Parts that nobody asked for would be scanned and delivered as the whole (P27): no request of ours has a Range. */
export function checkIsWhole(status: number, lines: HeaderLines): void {
  const isParts = valuesOf(lines, "content-type").some((type) => /^multipart\/byteranges\b/i.test(type));
  if (status === 206 || isParts) throw brokenAnswer("The origin sent a part where the whole was asked for");
  if (status > 599) throw brokenAnswer("The origin's answer has no valid status");
}

export function tooLarge(): ClamgateError {
  return new ClamgateError("too-large", "The download is too large");
}

/** Throws `too-large` with the chunk that crosses the limit, which is not handed on; the source is left then. */
export async function* upTo(maxBytes: number, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge();
    yield chunk;
  }
}

/** A body as it is with other bytes before it, without being spooled anew. */

import type { BodyRange, SpooledBody } from "../core/spool.ts";

/**
 * A view: whoever holds `body` disposes it, and a hold on the view is a hold on the body. Its digest is that of the body: what is known
 * of the one counts for the other. In no file, wherever the body is; in memory where the body is, as a copy for each who asks.
 */
export function prefixedBody(prefix: Uint8Array, body: SpooledBody): SpooledBody {
  const size = prefix.length + body.size;
  return {
    size,
    sha256: body.sha256,
    get bytes() {
      const { bytes } = body;
      return bytes === null ? null : Buffer.concat([prefix, bytes]);
    },
    path: null,
    async *read({ start = 0, end = size, ...range }: BodyRange = {}) {
      // A copy: the reader may give its memory up.
      if (start < prefix.length) yield new Uint8Array(prefix.subarray(start, end));
      if (end <= prefix.length) return;
      yield* body.read({ ...range, start: Math.max(0, start - prefix.length), end: end - prefix.length });
    },
    hold: () => prefixedBody(prefix, body.hold()),
    [Symbol.asyncDispose]: () => body[Symbol.asyncDispose](),
  };
}

/** How the transfer coding of a form's part is undone. */

import { Base64Decoder } from "../codec/base64.ts";
import type { TransferCoding } from "../codec/multipart/headers.ts";
import { ProtocolError } from "../codec/protocol-error.ts";
import { QuotedPrintableDecoder } from "../codec/quoted-printable.ts";
import { ClamgateError } from "../core/errors.ts";
import type { Codings } from "../core/scan-layers.ts";
import type { SpooledBody } from "../core/spool.ts";

/** Some receivers decode such a part and some do not. The decoder throws `malformed` for what receivers would decode differently. */
export function partCodings(coding: TransferCoding | null): Codings | null {
  return coding === null ? null : { decoders: [(body) => decode(body, coding)], unknown: null };
}

async function* decode(body: SpooledBody, coding: TransferCoding): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = coding === "base64" ? new Base64Decoder() : new QuotedPrintableDecoder();
  try {
    for await (const chunk of body.read()) yield decoder.feed(chunk);
    decoder.finish();
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    throw new ClamgateError("malformed", `Malformed part: ${thrown.message}`, { cause: thrown });
  }
}

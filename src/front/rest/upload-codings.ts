/** The content codings of an upload: what a coding yields is what is meant (RFC 9110 §8.4, §15.5.16). */

import { readCodings } from "../../core/content-coding.ts";
import { ClamgateError } from "../../core/errors.ts";
import type { Codings } from "../../core/scan-layers.ts";
import { linesOf, type RawRequest } from "../../http/raw.ts";

/** @throws ClamgateError `undecodable` where one is not known, or there are too many. */
export function uploadCodings(request: RawRequest): Codings | null {
  if (request.headers["content-encoding"] === undefined) return null;
  const codings = readCodings(linesOf(request, "content-encoding"));
  if (codings === null || codings.unknown === null) return codings;
  throw new ClamgateError("undecodable", `The content coding ${JSON.stringify(codings.unknown.slice(0, 40))} is not known`);
}

/** Transfer codings of a request (RFC 9112 §6.1): chunked, alone and once. */

import type { RawRequest } from "./raw.ts";

export const transferCodingFault = "The transfer coding is not supported: only chunked is";

/** An error of Node's parser. */
export interface ParseError extends Error {
  readonly code?: string;
  readonly reason?: string;
}

/** What Node's parser refuses by itself, as where chunked is not the last one, or is there twice. */
export function isTransferCodingError({ code, reason }: ParseError): boolean {
  // The same code stands for a length beside it, which is malformed.
  return code === "HPE_INVALID_TRANSFER_ENCODING" && reason?.includes("Content-Length") !== true;
}

/** Node takes `gzip, chunked`, undoes the chunks and leaves the rest: the body is not what was meant, and nobody says so. */
export function hasOtherTransferCoding({ headers }: Pick<RawRequest, "headers">): boolean {
  const coding = headers["transfer-encoding"];
  return coding !== undefined && coding.toLowerCase() !== "chunked";
}

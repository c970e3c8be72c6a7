/** What a head asks for that is not left to Node: expectations (RFC 9110 §10.1.1) and transfer codings (RFC 9112 §6.1). */

import type { EventEmitter } from "node:events";
import type { RawRequest, RawResponse } from "./raw.ts";

/**
 * In the place of Node, which says 100 Continue at once, even inside the answer to an earlier request.
 * Hands requests with an expectation to the listeners of `request` like any other. `tellToContinue` meets it; whoever answers before
 * that refuses by the head alone, and the client need not send its body any more: the connection ends, as the next request would be
 * taken for that body.
 * @param server of node:http or node:http2.
 */
export function takeExpectations(server: EventEmitter): void {
  server.on("checkContinue", (request: RawRequest, response: RawResponse) => {
    response.once("finish", () => {
      if (isWaitingToContinue(request) && request.httpVersionMajor === 1) request.socket.destroySoon();
    });
    server.emit("request", request, response);
  });
  server.on("checkExpectation", (request: RawRequest, response: RawResponse) => server.emit("request", request, response));
}

/** Whether the client holds its body back until it is told to go on. */
export function isWaitingToContinue({ headers, httpVersion }: RawRequest): boolean {
  return headers.expect?.toLowerCase() === "100-continue" && httpVersion !== "1.0";
}

/** Whether the client expects what no server can promise: to be answered 417. HTTP/1.0 knows no expectations. */
export function hasUnknownExpectation(request: RawRequest): boolean {
  return request.headers.expect !== undefined && request.httpVersion !== "1.0" && !isWaitingToContinue(request);
}

/** Says 100 Continue to a client that waits for it. A met expectation leaves the head, so that it is met once. */
export function tellToContinue(request: RawRequest, response: RawResponse): void {
  if (!isWaitingToContinue(request)) return;
  delete request.headers.expect;
  response.writeContinue();
}

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

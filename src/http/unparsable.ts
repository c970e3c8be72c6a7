/** Answers to what never becomes a request: heads that are no HTTP, bodies cut short, targets that cannot be decoded. */

import type { Socket } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Turns } from "./in-turn.ts";
import { isTransferCodingError, type ParseError, transferCodingFault } from "./transfer-coding.ts";

/**
 * For Fastify's options: its own words would be the only ones of another shape.
 * @param refuse see `Turns`.
 * @param formatFault makes the JSON body of a description.
 */
export const unparsableAnswers = (refuse: Turns["refuse"], formatFault: (description: string) => string) => ({
  clientErrorHandler(error: ParseError, socket: Socket): void {
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    const { status, reason, description } = faultOf(error);
    const body = formatFault(description);
    const head = [
      "Content-Type: application/json; charset=utf-8",
      `Content-Length: ${Buffer.byteLength(body)}`,
      "Connection: close",
    ];
    refuse(socket, () => {
      socket.end(`HTTP/1.1 ${status} ${reason}\r\n${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
    });
  },
  frameworkErrors(_error: Error, _request: FastifyRequest, reply: FastifyReply): void {
    reply.code(400).type("application/json; charset=utf-8").send(formatFault("The request target is malformed"));
  },
});

/** Node's parser takes none of them, and nothing in front of it could give it others in their place. */
const unencodedTarget = "The request target has characters that must be percent-encoded, as %C3%A9 for é";

function faultOf(error: ParseError): { readonly status: number; readonly reason: string; readonly description: string } {
  if (isTransferCodingError(error)) return { status: 501, reason: "Not Implemented", description: transferCodingFault };
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return { status: 431, reason: "Request Header Fields Too Large", description: "The head of the request is too large" };
    case "HPE_INVALID_URL":
      return { status: 400, reason: "Bad Request", description: unencodedTarget };
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return { status: 408, reason: "Request Timeout", description: "The request came too slowly" };
    default:
      return { status: 400, reason: "Bad Request", description: "The request is malformed or ends early" };
  }
}

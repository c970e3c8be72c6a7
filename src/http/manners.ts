/**
 * What holds for every request of a server, whichever front takes it: cross-origin headers, the mark of test signatures, and the answers
 * to what no route takes (rest.md 4, 5), to unknown expectations and transfer codings, and to what never becomes a request.
 */

import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { GatewayEvent } from "../core/events.ts";
import { type Answer, type AnswerOptions, answer, type Exchange, exchangeOf, jsonType, textAnswer } from "./answer.ts";
import { type CorsOptions, createCors } from "./cors.ts";
import {
  hasOtherTransferCoding,
  hasUnknownExpectation,
  isTransferCodingError,
  type ParseError,
  transferCodingFault,
} from "./expectations.ts";
import type { Turns } from "./in-turn.ts";
import { type RawRequest, writeWhole } from "./raw.ts";

export interface MannersOptions extends AnswerOptions, CorsOptions {
  /** While true, every answer says `X-Clamgate-Signatures: test-only`. */
  readonly isTestOnly: () => boolean;
  /** Makes the JSON body of a description. */
  readonly formatFault: (description: string) => string;
}

const methods = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"] as const;

/** What is decided of a request before anybody looks at what it asks for. True where it has been answered. */
export type Begin = (exchange: Exchange) => boolean;

export function createBegin(options: MannersOptions): Begin {
  const cors = createCors(options);
  /** Who does not see the body as we do may see another request in it: the connection ends. */
  const transferCodingAnswer: Answer = {
    status: 501,
    contentType: jsonType,
    headers: { connection: "close" },
    body: options.formatFault(transferCodingFault),
  };

  return (exchange) => {
    const { request, response, headers } = exchange;
    if (options.isTestOnly()) headers["x-clamgate-signatures"] = "test-only";
    if (cors(exchange)) {
      writeWhole(response, 204, headers, "");
      return true;
    }
    const refusal = refusalOf(request);
    if (refusal !== null) answer(exchange, refusal, options);
    return refusal !== null;
  };

  function refusalOf(request: RawRequest): Answer | null {
    if (hasUnknownExpectation(request)) return textAnswer(417, "Only 100-continue can be expected\n");
    return hasOtherTransferCoding(request) ? transferCodingAnswer : null;
  }
}

/**
 * One hook for the whole server, also for the routes that others add after it. It is a hook and not Fastify's 404 handler, since that
 * would have the body parsed before it.
 */
export function addManners(server: FastifyInstance, begin: Begin, options: MannersOptions): void {
  server.addHook("onRequest", (request, reply, next) => {
    const exchange = exchangeOf(request, reply);
    const isAnswered = begin(exchange);
    if (!isAnswered && request.is404) answer(exchange, noRouteAnswer(request), options);
    if (isAnswered || request.is404) return void reply.hijack();
    reply.headers(exchange.headers);
    next();
  });

  function noRouteAnswer(request: FastifyRequest): Answer {
    const target = request.raw.url ?? "/";
    const redirect = redirectTarget(target);
    if (redirect !== null) return redirectAnswer(request, redirect);
    const [path = "/"] = target.split("?", 1);
    const allowed = methods.filter((method) => server.hasRoute({ method, url: path }));
    return allowed.length === 0 ? textAnswer(404, "404 page not found\n") : notAllowedAnswer(request, allowed);
  }
}

function notAllowedAnswer({ method }: FastifyRequest, allowed: readonly string[]): Answer {
  // clamav-rest's home page takes GET of every path, so its answer lists GET for scan routes too (rest.md 4); a GET itself hears the truth.
  const isGet = method === "GET" || method === "HEAD";
  const listed = isGet ? allowed : [...new Set(["GET", "HEAD", ...allowed])].sort();
  return textAnswer(405, "Method Not Allowed\n", { allow: listed.join(", ") });
}

/** 307 keeps method and body; Go's own little page goes with it. */
function redirectAnswer({ method }: FastifyRequest, location: string): Answer {
  const body = method === "GET" ? `<a href="${escapeHtml(location)}">Temporary Redirect</a>.\n\n` : "";
  return { status: 307, contentType: "text/html; charset=utf-8", headers: { location }, body };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** @param path begins with a slash; still percent-encoded, as Go looks at it. */
export function cleanPath(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/");
  for (const segment of segments) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") kept.pop();
    else kept.push(segment);
  }
  const last = segments.at(-1);
  const hasTrailingSlash = kept.length > 0 && last === "";
  return `/${kept.join("/")}${hasTrailingSlash ? "/" : ""}`;
}

/**
 * Where to send a request with an unclean path; null when its path is clean.
 * @param target of the request line: path and query.
 */
export function redirectTarget(target: string): string | null {
  if (!target.startsWith("/")) return null;
  const [path = "", ...query] = target.split("?");
  const cleaned = cleanPath(path);
  if (cleaned === path) return null;
  // A browser reads "/\host" as "//host": another site.
  const location = [cleaned, ...query].join("?").replaceAll("\\", "%5C");
  return location.replace(/[^\x21-\x7e]/g, encodeByte);
}

/** Node gives header bytes as latin1. */
function encodeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

function unparsable({ remoteAddress: client = "" }: Socket, status: number): GatewayEvent {
  return { kind: "answered", requestId: randomUUID(), givenId: null, client, who: null, method: null, route: "none", status };
}

/**
 * For Fastify's options: its own words would be the only ones of another shape.
 * @param refuse see `Turns`.
 * @param formatFault makes the JSON body of a description.
 */
export const unparsableAnswers = (
  refuse: Turns["refuse"],
  { formatFault, emit }: Pick<MannersOptions, "formatFault" | "emit">,
) => ({
  clientErrorHandler(error: ParseError, socket: Socket): void {
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    const { status, reason, description } = faultOf(error);
    emit(unparsable(socket, status));
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
  frameworkErrors(_error: Error, { raw }: FastifyRequest, reply: FastifyReply): void {
    emit(unparsable(raw.socket, 400));
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

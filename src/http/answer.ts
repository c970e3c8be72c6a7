/** Sends a finished text with its status: exact bytes, which nothing serialises again, and which reach a client that is still sending. */

import { type OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { IpRange } from "../codec/ip-address.ts";
import { type Emit, type Route, routes } from "../core/events.ts";
import { addressOf } from "./client-address.ts";
import { answerEarly, type LingerBounds } from "./linger.ts";
import { isWhollyRead, type RawRequest, type RawResponse, writeWhole } from "./raw.ts";

export const jsonType = "application/json; charset=utf-8";
/** What Go's server guesses where clamav-rest names no type (rest.md 23, 42, 47). */
export const textType = "text/plain; charset=utf-8";

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Without a Content-Type when empty, as Go does. */
  readonly contentType: string;
  readonly body: string;
}

/** A request and the answer that it is owed. */
export interface Exchange {
  readonly request: RawRequest;
  readonly response: RawResponse;
  /** The gateway's own name for it. */
  readonly id: string;
  readonly route: Route;
  /** Of its answer, whatever that will be; names in lower case. */
  readonly headers: OutgoingHttpHeaders;
}

export interface AnswerOptions {
  /** Sent with each 503. */
  readonly retryAfterSeconds: number;
  /** For clients that are answered before they have sent everything. */
  readonly linger: LingerBounds;
  /** TRUSTED_PROXIES. */
  readonly trustedProxies: readonly IpRange[];
  /** The id of the client that has shown who it is; where it is missing nobody is asked. */
  readonly whoSends?: (request: RawRequest) => string | null;
  /** Asked once an answer has been told of: what is given in its place, or null. */
  readonly replacement?: (route: Route) => Answer | null;
  readonly emit: Emit;
}

/** What a client may call its request: safe in a header and in a log. */
const saneId = /^[\w.~+=:/@-]{1,64}$/;
const requestIdHeader = "x-request-id";

/** As `answer`, with the headers that hooks have set on `reply`. To be returned by the handler that calls it. */
export function sendAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  content: Answer,
  options: AnswerOptions,
  isRead = false,
): FastifyReply {
  reply.hijack();
  answer(exchangeOf(request, reply), content, options, isRead);
  return reply;
}

export function exchangeOf(request: FastifyRequest, reply: FastifyReply): Exchange {
  const { url } = request.routeOptions;
  const route = routes.find((one) => one === url) ?? "other";
  const headers: OutgoingHttpHeaders = {};
  Object.assign(headers, reply.getHeaders());
  return { request: request.raw, response: reply.raw, id: request.id, route, headers };
}

/**
 * Answers once.
 * @param isRead whether the request's body is known to have been read to its end.
 */
export function answer(exchange: Exchange, decided: Answer, options: AnswerOptions, isRead = false): void {
  const { request, response, id, route } = exchange;
  const { retryAfterSeconds, linger } = options;
  const givenId = givenIdOf(request);
  tell(exchange, decided.status, givenId, options);
  const { status, headers, contentType, body } = options.replacement?.(route) ?? decided;
  if (response.destroyed) return; // nobody is there to read it
  const all = Object.assign(exchange.headers, headers);
  all[requestIdHeader] = givenId ?? id;
  if (body !== "") all["content-type"] = contentType;
  if (status === 503) all["retry-after"] = String(retryAfterSeconds);
  // Go's words, which clients may look for; Node has others. HTTP/2 has none.
  if (status === 413 && response instanceof ServerResponse) response.statusMessage = "Request Entity Too Large";
  if (isRead || hasNothingLeft(request)) {
    all["content-length"] = Buffer.byteLength(body);
    writeWhole(response, status, all, request.method === "HEAD" ? "" : body);
    return;
  }
  // Node would end the connection with the response, while the client still sends: its answer would be lost.
  // The head may have just been parsed, and what came with it be no HTTP: then that is answered, and must be known before this is sent.
  process.nextTick(() => {
    if (!response.destroyed) void answerEarly(request, response, { status, headers: all, body }, linger);
  });
}

function givenIdOf({ headers }: RawRequest): string | null {
  const given = headers[requestIdHeader];
  return typeof given === "string" && saneId.test(given) ? given : null;
}

function tell({ request, id, route }: Exchange, status: number, givenId: string | null, options: AnswerOptions): void {
  const { trustedProxies, whoSends, emit } = options;
  emit({
    kind: "answered",
    requestId: id,
    givenId,
    client: addressOf(request, trustedProxies),
    who: whoSends?.(request) ?? null,
    method: request.method ?? null,
    route,
    status,
  });
}

/** As Go's `http.Error` sends it. */
export function textAnswer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, contentType: textType, headers: { ...headers, "x-content-type-options": "nosniff" }, body };
}

/** True also where there is no body to read. */
function hasNothingLeft(request: RawRequest): boolean {
  if (isWhollyRead(request)) return true;
  if ("stream" in request) return request.stream.endAfterHeaders;
  const { "content-length": length = "0", "transfer-encoding": coding } = request.headers;
  return coding === undefined && Number(length) === 0;
}

/** Sends a finished text with its status: exact bytes, which nothing serialises again, and which reach a client that is still sending. */

import { type OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { IpRange } from "../codec/ip-address.ts";
import { type Emit, routes } from "../core/events.ts";
import { addressOf } from "./client-address.ts";
import { answerEarly, type LingerBounds } from "./linger.ts";
import { isWhollyRead, type RawRequest } from "./raw.ts";

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
  readonly replacement?: (request: FastifyRequest) => Answer | null;
  readonly emit: Emit;
}

/** What a client may call its request: safe in a header and in a log. */
const saneId = /^[\w.~+=:/@-]{1,64}$/;
const requestIdHeader = "x-request-id";

/**
 * Answers once. Headers that hooks have set on `reply` go along. To be returned by the handler that calls it.
 * @param isRead whether the request's body is known to have been read to its end.
 */
export function sendAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  decided: Answer,
  options: AnswerOptions,
  isRead = false,
): FastifyReply {
  const { retryAfterSeconds, linger } = options;
  const givenId = givenIdOf(request);
  tell(request, decided.status, givenId, options);
  const { status, headers = {}, contentType, body } = options.replacement?.(request) ?? decided;
  if (reply.raw.destroyed) return reply.hijack(); // nobody is there to read it
  reply.code(status).headers(headers);
  // Go's words, which clients may look for; Node has others. HTTP/2 has none.
  if (status === 413 && reply.raw instanceof ServerResponse) reply.raw.statusMessage = "Request Entity Too Large";
  reply.header(requestIdHeader, givenId ?? request.id);
  if (body !== "") reply.header("content-type", contentType);
  if (status === 503) reply.header("retry-after", String(retryAfterSeconds));
  if (isRead || hasNothingLeft(request.raw)) return reply.send(body === "" ? undefined : body);
  // Fastify would end the response, and Node the connection with it, while the client still sends: its answer would be lost.
  reply.hijack();
  const all: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) all[name] = value;
  // The head may have just been parsed, and what came with it be no HTTP: then that is answered, and must be known before this is sent.
  process.nextTick(() => {
    if (!reply.raw.destroyed) void answerEarly(request.raw, reply.raw, { status, headers: all, body }, linger);
  });
  return reply;
}

function givenIdOf({ raw }: FastifyRequest): string | null {
  const given = raw.headers[requestIdHeader];
  return typeof given === "string" && saneId.test(given) ? given : null;
}

function tell(request: FastifyRequest, status: number, givenId: string | null, options: AnswerOptions): void {
  const { trustedProxies, whoSends, emit } = options;
  const { url } = request.routeOptions;
  emit({
    kind: "answered",
    requestId: request.id,
    givenId,
    client: addressOf(request.raw, trustedProxies),
    who: whoSends?.(request.raw) ?? null,
    method: request.method,
    route: routes.find((route) => route === url) ?? "other",
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

/** Holds a client to its limits by the head of its request, and tells it of them: the RateLimit fields, and 429. */

import type { FastifyReply, FastifyRequest } from "fastify";
import type { Client } from "../../auth/client.ts";
import type { Admission, Limiter } from "../../auth/limiter.ts";
import { type Answer, type AnswerOptions, jsonType, sendAnswer } from "../../http/answer.ts";
import { declaredBytes } from "../../http/raw.ts";
import { countBytes } from "../../http/request-body.ts";
import { formatFault } from "./result.ts";
import { problemOfLimit, problemType } from "./v3/problems.ts";

export interface LimitsOptions extends AnswerOptions {
  readonly limiter: Limiter;
}

/** Answers, or goes on to `next`: at once, unless the client's quota has to be asked for. */
export function admit(
  request: FastifyRequest,
  reply: FastifyReply,
  { client, next, ...options }: LimitsOptions & { readonly client: Client; readonly next: () => void },
): void {
  const admission = options.limiter.admit(client, declaredBytes(request.raw));
  if (admission instanceof Promise) void admission.then(settle);
  else settle(admission);

  function settle(settled: Admission): void {
    if (settled.fields !== null) reply.headers(settled.fields);
    if (settled.kind === "limited") sendAnswer(request, reply, limitedAnswer(request, settled), options);
    else {
      if (settled.fields !== null) endWithResponse(settled.end);
      next();
    }
  }

  function endWithResponse(end: (bytes: number) => void): void {
    const bytes = countBytes(request.raw);
    // It may have gone while its quota was asked for.
    if (reply.raw.destroyed) end(0);
    else reply.raw.once("close", () => end(bytes()));
  }
}

function limitedAnswer(request: FastifyRequest, limited: Admission & { kind: "limited" }): Answer {
  const headers = { "retry-after": String(limited.retryAfterSeconds), "cache-control": "no-store" };
  const isV3 = request.routeOptions.url?.startsWith("/v3/") === true;
  const body = isV3
    ? JSON.stringify(problemOfLimit(limited))
    : formatFault(`Too many requests: the limits of this client are reached (${limited.violated.join(", ")})`);
  return { status: 429, headers, contentType: isV3 ? problemType : jsonType, body };
}

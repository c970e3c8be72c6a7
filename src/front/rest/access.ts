/** Lets a request in by its head alone, before anything of its body is taken: which route needs which scope, and the answers to who has it not. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Access, AccessDecision } from "../../auth/access.ts";
import { setClient } from "../../auth/client.ts";
import { type Refusal, refusalOf } from "../../auth/refusals.ts";
import { asksForHtml } from "../../codec/accept.ts";
import { ClamgateError } from "../../core/errors.ts";
import type { Scope } from "../../core/scope.ts";
import { type Answer, type AnswerOptions, jsonType, sendAnswer } from "../../http/answer.ts";
import { RequestHead } from "../../http/request-head.ts";
import { admit } from "./limits.ts";
import { formatFault } from "./result.ts";
import { type Problem, problemOfError, problemOfRefusal, problemType } from "./v3/problems.ts";

export interface AccessHookOptions extends AnswerOptions {
  readonly access: Access;
  /** METRICS_AUTH */
  readonly areMetricsOpen: boolean;
}

/** By the patterns of the routes. */
const needs: Readonly<Record<string, Scope | "open" | "operations">> = {
  "/v2/scan": "scan",
  "/scan": "scan",
  "/scanHandlerBody": "scan",
  "/v3/scan": "scan",
  "/v3/verdicts/:sha256": "scan",
  "/scanFile": "scan:path",
  "/scanPath": "scan:path",
  "/version": "status",
  "/": "status",
  "/v3/status": "status",
  "/metrics": "operations",
  "/healthcheck": "operations",
  "/livez": "open",
  "/readyz": "open",
  "/openapi.json": "open",
  "/problems/:code": "open",
  "/docs": "open",
};

const openBelow = ["/ui/", "/docs/"] as const;

/** Null: everybody. A route that nobody has thought of is for administrators. */
export function scopeNeeded(route: string, areMetricsOpen: boolean): Scope | null {
  const need = needs[route] ?? (openBelow.some((prefix) => route.startsWith(prefix)) ? "open" : "admin");
  if (need === "operations") return areMetricsOpen ? null : "status";
  return need === "open" ? null : need;
}

/** One hook for the whole server, behind that of the manners: what no route takes tells nobody anything. */
export function addAccess(server: FastifyInstance, options: AccessHookOptions): void {
  const { access, areMetricsOpen, trustedProxies, emit } = options;
  server.addHook("onRequest", (request, reply, next) => {
    const scope = isForPage(request) ? null : scopeNeeded(request.routeOptions.url ?? "", areMetricsOpen);
    if (scope === null) return next();
    const obey = (decision: AccessDecision): void => {
      if (decision.client !== null) setClient(request.raw, decision.client);
      if (decision.kind === "let-in") admit(request, reply, { ...options, limiter: access, client: decision.client, next });
      else refuse(request, reply, decision, scope);
    };
    const decision = access.decide(new RequestHead(request.raw, trustedProxies), scope);
    if (decision instanceof Promise) void decision.then(obey);
    else obey(decision);
  });

  function refuse(
    request: FastifyRequest,
    reply: FastifyReply,
    { reason, detail }: AccessDecision & { kind: "refused" },
    scope: Scope,
  ) {
    emit({ kind: "access-refused", requestId: request.id, reason, detail });
    sendAnswer(request, reply, refusalAnswer(request, refusalOf(reason, scope)), options);
  }
}

/** A browser gets the page and no figures: the page asks for a key itself. */
function isForPage({ routeOptions, headers }: FastifyRequest): boolean {
  return routeOptions.url === "/" && asksForHtml(headers.accept ?? "");
}

function refusalAnswer(request: FastifyRequest, refusal: Refusal): Answer {
  const { challenge } = refusal;
  const headers = { "cache-control": "no-store", ...(challenge === null ? {} : { "www-authenticate": challenge }) };
  return { ...problemAnswer(request, problemOfRefusal(refusal)), headers };
}

/** In place of one that is not on record. */
export function unrecordedAnswer(request: FastifyRequest): Answer {
  return problemAnswer(request, problemOfError(new ClamgateError("unrecorded", "The request cannot be recorded")));
}

/** `/v3` has problems, all else clamav-rest's own shape. */
function problemAnswer(request: FastifyRequest, problem: Problem): Answer {
  const isV3 = request.routeOptions.url?.startsWith("/v3/") === true;
  const body = isV3 ? JSON.stringify(problem) : formatFault(problem.detail);
  return { status: problem.status, contentType: isV3 ? problemType : jsonType, body };
}

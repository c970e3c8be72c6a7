/** Lets a request in by its head alone, before anything of its body is taken: which route needs which scope, and the answers to who has it not. */

import type { Access, AccessDecision } from "../../auth/access.ts";
import { setClient } from "../../auth/client.ts";
import { type Refusal, refusalOf } from "../../auth/refusals.ts";
import { asksForHtml } from "../../codec/accept.ts";
import { ClamgateError } from "../../core/errors.ts";
import type { Route } from "../../core/events.ts";
import type { Scope } from "../../core/scope.ts";
import { type Answer, type AnswerOptions, answer, type Exchange } from "../../http/answer.ts";
import { RequestHead } from "../../http/request-head.ts";
import { admit } from "./limits.ts";
import { faultAnswer, problemOfError, problemOfRefusal } from "./v3/problems.ts";

export interface AccessOptions extends AnswerOptions {
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

/**
 * Whether a request may go on; else it has been answered. A promise only where who sends it must be looked up.
 * @param pattern of the route.
 */
export type LetIn = (exchange: Exchange, pattern: string) => boolean | Promise<boolean>;

export function createLetIn(options: AccessOptions): LetIn {
  const { access, areMetricsOpen, trustedProxies, emit } = options;
  return (exchange, pattern) => {
    const { request, id } = exchange;
    const scope = isForPage(exchange) ? null : scopeNeeded(pattern, areMetricsOpen);
    if (scope === null) return true;
    const obey = (decision: AccessDecision): boolean | Promise<boolean> => {
      if (decision.client !== null) setClient(request, decision.client);
      if (decision.kind === "let-in") return admit(exchange, { ...options, limiter: access, client: decision.client });
      const { reason, detail } = decision;
      emit({ kind: "access-refused", requestId: id, reason, detail });
      answer(exchange, refusalAnswer(exchange.route, refusalOf(reason, scope)), options);
      return false;
    };
    const decision = access.decide(new RequestHead(request, trustedProxies), scope);
    return decision instanceof Promise ? decision.then(obey) : obey(decision);
  };
}

/** A browser gets the page and no figures: the page asks for a key itself. */
function isForPage({ route, request }: Exchange): boolean {
  return route === "/" && asksForHtml(request.headers.accept ?? "");
}

function refusalAnswer(route: Route, refusal: Refusal): Answer {
  const { challenge } = refusal;
  const headers = { "cache-control": "no-store", ...(challenge === null ? {} : { "www-authenticate": challenge }) };
  return { ...faultAnswer(route, problemOfRefusal(refusal)), headers };
}

/** In place of one that is not on record. */
export function unrecordedAnswer(route: Route): Answer {
  return faultAnswer(route, problemOfError(new ClamgateError("unrecorded", "The request cannot be recorded")));
}

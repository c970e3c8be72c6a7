/** Cross-origin answers as rs/cors 1.11.1 gives them (rest.md 60-63), for every path, known or not. */

import { trimBlanks } from "../core/blanks.ts";
import type { Exchange } from "./answer.ts";

export interface CorsOptions {
  /** ALLOW_ORIGINS, split: whole origins, each with at most one `*`, or `*` alone for all. Empty: same origin only. */
  readonly allowOrigins: readonly string[];
  /** Names, in lower case, of headers that pages may send besides those of clamav-rest: what shows who one is. */
  readonly allowHeaders: readonly string[];
}

const allowedMethods = new Set(["GET", "POST", "OPTIONS"]);
const alwaysAllowed = ["content-type", "accept-language", "accept"];
const preflightVary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/** Sets the headers of an answer, known or not yet. True where they are all there is to answer: to a preflight. */
export type Cors = (exchange: Exchange) => boolean;

export function createCors({ allowOrigins, allowHeaders }: CorsOptions): Cors {
  const allowedHeaders = new Set([...alwaysAllowed, ...allowHeaders]);
  const allowOrigin = createOriginRule(allowOrigins);
  return ({ request, headers }) => {
    const { method = "" } = request;
    const { origin, "access-control-request-method": requestedMethod } = request.headers;
    const allowed = origin === undefined ? null : allowOrigin(origin);
    if (method !== "OPTIONS" || !requestedMethod) {
      headers.vary = "Origin";
      if (allowed !== null && allowedMethods.has(method)) headers["access-control-allow-origin"] = allowed;
      return false;
    }
    headers.vary = preflightVary;
    const requestedHeaders = request.headers["access-control-request-headers"];
    if (allowed !== null && allowedMethods.has(requestedMethod) && areAllowed(requestedHeaders, allowedHeaders)) {
      headers["access-control-allow-origin"] = allowed;
      headers["access-control-allow-methods"] = requestedMethod;
      if (requestedHeaders) headers["access-control-allow-headers"] = requestedHeaders;
    }
    return true;
  };
}

/** Gives what `Access-Control-Allow-Origin` says to an origin, or null. */
function createOriginRule(allowOrigins: readonly string[]): (origin: string) => string | null {
  if (allowOrigins.includes("*")) return () => "*";
  const rules = allowOrigins.map((pattern) => {
    const [prefix = "", ...rest] = pattern.toLowerCase().split("*");
    return { prefix, suffix: rest.length === 0 ? null : rest.join("*") };
  });
  return (origin) => {
    const sent = origin.toLowerCase();
    const isAllowed = rules.some(({ prefix, suffix }) => {
      if (suffix === null) return sent === prefix;
      return sent.length >= prefix.length + suffix.length && sent.startsWith(prefix) && sent.endsWith(suffix);
    });
    return isAllowed ? origin : null;
  };
}

function areAllowed(requestedHeaders: string | undefined, allowed: ReadonlySet<string>): boolean {
  if (!requestedHeaders) return true;
  return requestedHeaders.split(",").every((name) => {
    const trimmed = trimBlanks(name).toLowerCase();
    return trimmed === "" || allowed.has(trimmed);
  });
}

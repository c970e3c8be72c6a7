/** Answers for requests that no route takes: an unclean path, a wrong method, an unknown path (rest.md 4, 5), an unknown expectation, a transfer coding. */

import type { FastifyInstance, FastifyRequest } from "fastify";
import { hasUnknownExpectation } from "../../http/expectations.ts";
import { hasOtherTransferCoding, transferCodingFault } from "../../http/transfer-coding.ts";
import { type Answer, type AnswerOptions, jsonType, sendAnswer, textAnswer } from "./answer.ts";
import { failure } from "./unparsable.ts";

const methods = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"] as const;

/** Who does not see the body as we do may see another request in it: the connection ends. */
const transferCodingAnswer: Answer = {
  status: 501,
  contentType: jsonType,
  headers: { connection: "close" },
  body: failure(transferCodingFault),
};

/**
 * Concerns every route of the server, also those that others add. It is a hook and not Fastify's 404 handler, since that
 * would have the body parsed before it.
 */
export function addWrongRoutes(server: FastifyInstance, options: AnswerOptions): void {
  server.addHook("onRequest", async (request, reply) => {
    if (hasUnknownExpectation(request.raw))
      return sendAnswer(request, reply, textAnswer(417, "Only 100-continue can be expected\n"), options);
    if (hasOtherTransferCoding(request.raw)) return sendAnswer(request, reply, transferCodingAnswer, options);
    if (request.is404) return sendAnswer(request, reply, answer(request), options);
  });

  function answer(request: FastifyRequest): Answer {
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

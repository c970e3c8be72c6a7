/** `/v3`'s errors: problem details (RFC 9457), each type with a page of text that the gateway serves itself (product.md S3). */

import { type Static, Type } from "typebox";
import type { Refusal } from "../../../auth/refusals.ts";
import type { ClamgateError, ErrorCode } from "../../../core/errors.ts";
import type { Route } from "../../../core/events.ts";
import { type Answer, jsonType } from "../../../http/answer.ts";
import { formatFault } from "../result.ts";
import { described } from "../schemas.ts";
import { errorStatus } from "../status.ts";

export const Problem = Type.Object({
  type: Type.String({ description: "A page of this gateway that explains it", examples: ["/problems/queue-full"] }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String({ examples: ["queue-full"] }),
});
export type Problem = Static<typeof Problem>;

export function problemAnswer(problem: Problem): Answer {
  return { status: problem.status, contentType: "application/problem+json; charset=utf-8", body: JSON.stringify(problem) };
}

/** `/v3` has problems, all else clamav-rest's own shape, with `description`. */
export function faultAnswer(route: Route, problem: Problem, description = problem.detail): Answer {
  if (route.startsWith("/v3/")) return problemAnswer(problem);
  return { status: problem.status, contentType: jsonType, body: formatFault(description) };
}

/** For the OpenAPI document. */
export function problemResponses(...statuses: readonly (readonly [status: number, description: string])[]) {
  return Object.fromEntries(statuses.map(([status, text]) => [status, described(text, "application/problem+json", Problem)]));
}

export const noVerdict = [503, "No verdict could be made; try again after Retry-After seconds."] as const;

interface Page {
  readonly status: number;
  readonly title: string;
  /** What it means, and what to do. */
  readonly text: string;
}

const tryAgain = "There is no verdict. Try again after Retry-After seconds; do not accept the file.";

/** What `/v3` says besides core's errors. */
const ownPages = {
  unauthenticated: {
    status: 401,
    title: "Nobody is known by what the request shows",
    text: "Send a key as `Authorization: Bearer cgk_…` or `X-API-Key: cgk_…`, or come with a certificate, as the gateway wants it.",
  },
  "no-file": {
    status: 422,
    title: "The form has no file",
    text: "Send at least one part with a file name, or the file itself as the body.",
  },
  "rate-limited": {
    status: 429,
    title: "The client has had all that it may have for now",
    text: "RateLimit-Policy says what it may have, RateLimit what is left. Come again after Retry-After seconds. There is no verdict: do not accept the file.",
  },
  "keys-unavailable": {
    status: 503,
    title: "Tokens cannot be checked for now",
    text: `The keys of their issuer cannot be had. ${tryAgain}`,
  },
  "unknown-digest": {
    status: 404,
    title: "No verdict is remembered",
    text: "Nothing is known of bytes with this digest. That does not say that they are clean: send them to /v3/scan.",
  },
} as const satisfies Record<string, Page>;

/** draft-ietf-httpapi-ratelimit-headers-10, "Quota Exceeded". */
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded";

const texts: Readonly<Record<ErrorCode, readonly [title: string, text: string]>> = {
  "too-large": ["The file is too large", "It has more bytes than MAX_FILE_SIZE. It was not scanned."],
  malformed: [
    "The request is malformed",
    "The detail says where. A form that two readers could take apart differently is refused.",
  ],
  undecodable: ["The content coding cannot be undone", "Send the body in gzip, deflate, br or zstd, whole, or in no coding."],
  "client-gone": ["The client went away", "The request ended before its body did."],
  "client-slow": ["The upload was too slow", "Nothing, or far too little, came for CLIENT_IDLE_TIMEOUT. Send it again."],
  forbidden: [
    "This is not allowed",
    "The client lacks a scope, or comes from an address that it may not come from; or the path is not below a directory of SCAN_PATH_ROOTS.",
  ],
  "not-found": ["There is no such file", "The path does not lead to a file."],
  "source-changed": ["The file changed while it was read", "Scan it again once nobody writes it."],
  "engine-unavailable": ["No engine can scan now", tryAgain],
  "backend-lost": ["The engine was lost while it scanned", tryAgain],
  "engine-killed": ["The engine dies of this file", `${tryAgain} If it happens again, the file is reported as unscannable.`],
  "engine-error": ["The engine failed", tryAgain],
  "scan-timeout": ["The scan took too long", tryAgain],
  "queue-full": ["Too many scans are waiting", tryAgain],
  "queue-timeout": ["No engine came free in time", tryAgain],
  "spool-full": ["There is no room to hold the file", tryAgain],
  unrecorded: ["The request cannot be recorded", `AUDIT_REQUIRED is set, and the record cannot be written. ${tryAgain}`],
  "upstream-failed": ["The file could not be fetched", "Its origin could not be reached, or broke off."],
  "upstream-timeout": ["Fetching the file took too long", "Its origin is slow, or does not answer."],
  "request-loop": ["The request has passed here before", "A proxy sends the gateway's own requests back to it."],
  stopping: ["The gateway is stopping", tryAgain],
  internal: ["A fault of the gateway", `${tryAgain} The gateway's log tells more.`],
};

export type ProblemCode = ErrorCode | keyof typeof ownPages;

/** Null for a code that there is none of. */
export function problemPage(code: string): string | null {
  const page = pageOf(code);
  return page === null ? null : `${page.title} (${page.status}, ${code})\n\n${page.text}\n`;
}

export function problemOf(code: keyof typeof ownPages): Problem {
  const { status, title, text } = ownPages[code];
  return { type: `/problems/${code}`, title, status, detail: text, code };
}

export function problemOfError({ code, publicMessage }: ClamgateError): Problem {
  return { type: `/problems/${code}`, title: texts[code][0], status: errorStatus[code], detail: publicMessage, code };
}

const refusalCodes = { 400: "malformed", 401: "unauthenticated", 403: "forbidden", 503: "keys-unavailable" } as const;

/** To a client that was not let in. */
export function problemOfRefusal({ status, message }: Pick<Refusal, "status" | "message">): Problem {
  const code = refusalCodes[status];
  return { type: `/problems/${code}`, title: pageOf(code)?.title ?? code, status, detail: message, code };
}

export interface LimitProblem extends Problem {
  readonly "violated-policies": readonly string[];
}

/** The one problem whose type is not a page of ours: it has a registered one. */
export function problemOfLimit({ violated, retryAfterSeconds }: Limit): LimitProblem {
  const detail = `Limits that are reached: ${violated.join(", ")}. There is more in ${retryAfterSeconds} s.`;
  return { ...problemOf("rate-limited"), type: quotaExceeded, detail, "violated-policies": violated };
}

interface Limit {
  readonly violated: readonly string[];
  readonly retryAfterSeconds: number;
}

function pageOf(code: string): Page | null {
  if (Object.hasOwn(ownPages, code)) return ownPages[code as keyof typeof ownPages];
  if (!Object.hasOwn(texts, code)) return null;
  const known = code as ErrorCode;
  const [title, text] = texts[known];
  return { status: errorStatus[known], title, text };
}

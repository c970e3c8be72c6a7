/** What the gateway itself says to a downloading client: `{"detail": …}` and its status, nothing of an origin (download-proxy.md 3.4, P6, P7, S16). */

import type { Refusal } from "../../auth/refusals.ts";
import type { ClamgateError, ErrorCode } from "../../core/errors.ts";
import { namesOf, type Verdict, visible } from "../../core/verdict.ts";
import type { HeaderLines } from "../../egress/header-lines.ts";

export interface OwnAnswer {
  readonly status: number;
  readonly lines: HeaderLines;
  readonly body: string;
}

export type CacheResult = "hit" | "miss" | "off";

/** P6: the seed's 44 bytes, which its clients may look for. A body that no engine can look at is 413 where it is too large for it. */
export function blockedAnswer(verdict: Verdict, cache: CacheResult): OwnAnswer {
  return blocked(verdict, cache, visible(namesOf(verdict)));
}

function blocked(verdict: Verdict, cache: CacheResult, names: string): OwnAnswer {
  const isTooLarge = verdict.kind === "unscannable" && verdict.reason === "too-large";
  const [status, detail] = isTooLarge ? [413, "The download is too large"] : [409, "This resource contains a virus!"];
  return ownAnswer(status, detail, [
    "X-Clamgate-Verdict",
    verdict.kind,
    "X-Clamgate-Cache",
    cache,
    ...(names === "" ? [] : ["X-Clamgate-Signature", names]),
  ]);
}

/**
 * Of an address whose last answer was cut after its first bytes. 409 whatever the reason was: trying again at once is of no use. What was
 * found is not named: it may have been in what the origin has for another client alone.
 */
export function cutAnswer(verdict: Verdict | null, cache: CacheResult): OwnAnswer {
  const answer = verdict === null ? null : blocked(verdict, cache, "");
  if (answer?.status === 409) return answer;
  return ownAnswer(409, "The last download of this address was cut before it was found clean");
}

/** RFC 9110 §15.5.13 */
export function preconditionFailed(): OwnAnswer {
  return ownAnswer(412, "The file is not the one that the request is about");
}

export function errorAnswer({ code, publicMessage }: ClamgateError, retryAfterSeconds: number): OwnAnswer {
  const status = downloadStatus[code];
  return ownAnswer(status, publicMessage, status === 503 ? ["Retry-After", String(retryAfterSeconds)] : []);
}

/** To a client that was not let in. */
export function refusalAnswer({ status, message, challenge }: Refusal): OwnAnswer {
  return ownAnswer(status, message, challenge === null ? [] : ["WWW-Authenticate", challenge]);
}

/** P8 */
export function wrongMethod(): OwnAnswer {
  return ownAnswer(405, "Method Not Allowed", ["Allow", "GET, HEAD"]);
}

/** RFC 9110 §10.1.1 */
export function unknownExpectation(): OwnAnswer {
  return ownAnswer(417, "Only 100-continue can be expected");
}

/** RFC 9110 §15.5.17 */
export function unsatisfiable(size: number): OwnAnswer {
  return ownAnswer(416, "The range is not within the file", ["Content-Range", `bytes */${size}`]);
}

export function ownAnswer(status: number, detail: string, lines: HeaderLines = []): OwnAnswer {
  const body = JSON.stringify({ detail });
  return { status, lines: ["Content-Type", "application/json", "Cache-Control", "no-store", ...lines], body };
}

export const downloadStatus = {
  "too-large": 413,
  malformed: 400,
  // The origin's fault: what a client of ours sends is not decoded.
  undecodable: 502,
  // Nobody is there to read it.
  "client-gone": 400,
  "client-slow": 408,
  forbidden: 403,
  "not-found": 404,
  // Of files: no download is one.
  "source-changed": 503,
  "engine-unavailable": 503,
  "backend-lost": 503,
  "engine-killed": 503,
  "engine-error": 503,
  "scan-timeout": 504,
  "queue-full": 503,
  "queue-timeout": 503,
  "spool-full": 503,
  unrecorded: 503,
  "upstream-failed": 502,
  "upstream-timeout": 504,
  "request-loop": 508,
  stopping: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

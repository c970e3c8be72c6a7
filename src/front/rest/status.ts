/** Which HTTP status tells of which error, and which one of several a response has. */

import type { ErrorCode } from "../../core/errors.ts";

/** 406 is an infected body (rest.md 12), 412 a path without a file (41), 422 a part without a file name (18). */
export type Status = 200 | 400 | 403 | 406 | 408 | 412 | 413 | 415 | 422 | 500 | 502 | 503 | 504 | 508;

export const errorStatus = {
  "too-large": 413,
  malformed: 400,
  undecodable: 415,
  // Nobody is there to read it.
  "client-gone": 400,
  "client-slow": 408,
  forbidden: 403,
  "not-found": 412,
  // Nothing is known of the bytes that are there now; another try may find them at rest.
  "source-changed": 503,
  "engine-unavailable": 503,
  "backend-lost": 503,
  "engine-killed": 503,
  "engine-error": 503,
  "scan-timeout": 503,
  "queue-full": 503,
  "queue-timeout": 503,
  "spool-full": 503,
  unrecorded: 503,
  // Of downloads: nothing that comes in here has an origin.
  "upstream-failed": 502,
  "upstream-timeout": 504,
  "request-loop": 508,
  stopping: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, Status>;

/**
 * An infected file is never hidden by anything. A file that could not be scanned may be infected too, so it comes before those
 * whose fault is known and the client's own; the rest is the order that rest.md decides.
 */
const severity = [406, 503, 500, 502, 504, 508, 413, 408, 415, 400, 403, 412, 422] as const satisfies readonly Status[];

/** 200 when there is none. */
export function mostSevere(statuses: Iterable<Status>): Status {
  const present = new Set(statuses);
  return severity.find((status) => present.has(status)) ?? 200;
}

/** Which HTTP status tells a downloading client of which error (download-proxy.md 3.4): 4xx where trying again is of no use. */

import type { ErrorCode } from "../../core/errors.ts";

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
  "upstream-failed": 502,
  "upstream-timeout": 504,
  "request-loop": 508,
  stopping: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** What a client is told where there is no verdict. No one answer is safe with every client, so the operator chooses by path. */

import type { IcapStatus } from "../../codec/icap/answer.ts";
import { IcapFault } from "../../codec/icap/fault.ts";
import type { ClamgateError, ErrorCode } from "../../core/errors.ts";

/** `reset`: a TCP reset; `page`: an encapsulated 503, for web proxies alone; `status`: the status of ICAP. */
export type FailureWord = "reset" | "page" | "status";

export interface FailureAnswers {
  readonly forAll: FailureWord;
  /** By path, without its first slash. */
  readonly forPath: ReadonlyMap<string, FailureWord>;
}

export function failureWord({ forAll, forPath }: FailureAnswers, service: string): FailureWord {
  return forPath.get(service) ?? forAll;
}

export type FailureStatus = Exclude<IcapStatus, 200 | 204>;

const statuses = {
  malformed: 400,
  "client-slow": 408,
  internal: 500,
  "engine-unavailable": 503,
  "backend-lost": 503,
  "engine-killed": 503,
  "engine-error": 503,
  "scan-timeout": 503,
  "queue-full": 503,
  "queue-timeout": 503,
  "spool-full": 503,
  unrecorded: 503,
  stopping: 503,
  // Nobody is there to read it.
  "client-gone": 400,
  // Verdicts, to a client of ICAP.
  "too-large": 500,
  undecodable: 500,
  // Of other fronts.
  forbidden: 500,
  "not-found": 500,
  "source-changed": 500,
  "upstream-failed": 500,
  "upstream-timeout": 500,
  "request-loop": 500,
} as const satisfies Record<ErrorCode, FailureStatus>;

export function statusOf({ code, cause }: ClamgateError): FailureStatus {
  return cause instanceof IcapFault ? cause.status : statuses[code];
}

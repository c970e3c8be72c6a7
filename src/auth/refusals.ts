/** What a client is told that was not let in (RFC 6750 §3). */

import type { AccessRefusal } from "../core/events.ts";
import type { Scope } from "../core/scope.ts";

export interface Refusal {
  readonly status: 400 | 401 | 403 | 503;
  readonly message: string;
  /** Of the field `WWW-Authenticate`; null where showing something else would not help. */
  readonly challenge: string | null;
}

const realm = 'Bearer realm="clamgate"';
const wrong = `${realm}, error="invalid_token"`;

const refusals = {
  "no-credentials": { status: 401, message: "A key is needed", challenge: realm },
  conflict: { status: 400, message: "The request shows two keys that differ", challenge: `${realm}, error="invalid_request"` },
  unknown: { status: 401, message: "The key is not known", challenge: wrong },
  expired: { status: 401, message: "The key has expired", challenge: wrong },
  certificate: { status: 403, message: "The certificate is not that of a known client", challenge: null },
  unavailable: { status: 503, message: "The keys that tokens are checked with cannot be had", challenge: null },
  network: { status: 403, message: "The client may not come from this address", challenge: null },
} as const satisfies Record<Exclude<AccessRefusal, "scope">, Refusal>;

/** @param scope that was needed. */
export function refusalOf(reason: AccessRefusal, scope: Scope): Refusal {
  if (reason !== "scope") return refusals[reason];
  const challenge = `${realm}, error="insufficient_scope", scope="${scope}"`;
  return { status: 403, message: `The client lacks the scope ${scope}`, challenge };
}

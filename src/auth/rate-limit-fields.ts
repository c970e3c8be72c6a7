/** The fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10): what a client may have, and what is left of it. */

import type { LimitPolicy } from "../core/events.ts";

/** The draft's registry of units. */
const units = {
  // The unit that is meant where none is named.
  requests: null,
  bytes: "content-bytes",
  concurrent: "concurrent-requests",
  "quota-bytes": "content-bytes",
} as const satisfies Record<LimitPolicy, string | null>;

export interface PolicyItem {
  readonly policy: LimitPolicy;
  readonly amount: number;
  /** Null for what is counted at once. */
  readonly windowMs: number | null;
}

export interface RemainderItem {
  readonly policy: LimitPolicy;
  /** Not less than 0. */
  readonly left: number;
  /** Until there is more; null where that is not known, or where nothing is missing. */
  readonly moreInMs: number | null;
}

export function policyField(items: readonly PolicyItem[]): string {
  return items
    .map(({ policy, amount, windowMs }) => {
      const unit = units[policy] === null ? "" : `;qu="${units[policy]}"`;
      const window = windowMs === null ? "" : `;w=${seconds(windowMs)}`;
      return `"${policy}";q=${amount}${unit}${window}`;
    })
    .join(", ");
}

export function remainderField(items: readonly RemainderItem[]): string {
  return items
    .map(({ policy, left, moreInMs }) => `"${policy}";r=${left}${moreInMs === null ? "" : `;t=${seconds(moreInMs)}`}`)
    .join(", ");
}

/** Whole ones, and never sooner than it is. */
export function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}

/** What passes: clean always, infected never, unscannable only for the reasons that the operator has named. */

import type { UnscannableReason, Verdict } from "./verdict.ts";

export interface Policy {
  /** Reasons of `ON_UNSCANNABLE=allow:…`; empty blocks all that is not clean. */
  readonly allowedReasons: ReadonlySet<UnscannableReason>;
}

export interface Decision {
  readonly isAllowed: boolean;
  /** The relaxation that let a body pass which is not clean; null when none was needed or none applied. */
  readonly relaxedFor: UnscannableReason | null;
}

export function decide(verdict: Verdict, policy: Policy): Decision {
  switch (verdict.kind) {
    case "clean":
      return { isAllowed: true, relaxedFor: null };
    case "infected":
      return { isAllowed: false, relaxedFor: null };
    case "unscannable": {
      const isAllowed = policy.allowedReasons.has(verdict.reason);
      return { isAllowed, relaxedFor: isAllowed ? verdict.reason : null };
    }
  }
}

/** What passes: clean always, infected never, unscannable only for the reasons that the operator has named. */

import { namesOf, type ScanReport, type UnscannableReason, type Verdict } from "./verdict.ts";

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

/** The names under which a body was found, most telling first; empty when it may pass. */
export function findings({
  report: { verdict },
  decision,
}: {
  readonly report: Pick<ScanReport, "verdict">;
  readonly decision: Decision;
}): readonly string[] {
  if (decision.isAllowed) return [];
  // A clean body is allowed. Said so that no change of policy ever answers OK by accident.
  return verdict.kind === "clean" ? ["Heuristics.Clamgate.Policy"] : namesOf(verdict);
}

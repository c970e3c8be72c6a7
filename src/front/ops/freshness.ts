/** Whether the engine's signatures are young enough for `/healthcheck` (rest.md 59). */

import type { EngineVersion } from "../../core/verdict.ts";

/** `unknown`: no engine is there to tell. */
export type Freshness = "fresh" | "old" | "unknown";

export interface FreshnessQuestion {
  /** Null while no engine has proved itself. */
  readonly version: EngineVersion | null;
  readonly maxAgeHours: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** An engine without a daily database has no fresh signatures, so it counts as old. */
export function judgeFreshness({ version, maxAgeHours, now }: FreshnessQuestion): Freshness {
  if (version === null) return "unknown";
  if (version.databaseTime === null) return "old";
  return now - version.databaseTime.getTime() <= maxAgeHours * 3_600_000 ? "fresh" : "old";
}

/** Response headers of ours beside clamav-rest's body: what it has no room for, of closed or checked characters only. */

import { findings } from "../../core/scan.ts";
import { visible } from "../../core/verdict.ts";
import type { Judgement } from "./upload.ts";

/**
 * `X-Clamgate-Allowed` names each reason for which the operator lets pass what was not found clean. The others speak of one body,
 * so they are there only when exactly one was judged.
 */
export function verdictHeaders(judgements: readonly Judgement[]): Record<string, string> {
  const scanned = judgements.filter((judgement) => judgement.kind === "scanned");
  const headers: Record<string, string> = {};
  const relaxations = new Set(scanned.flatMap(({ decision }) => decision.relaxedFor ?? []));
  if (relaxations.size > 0) headers["x-clamgate-allowed"] = [...relaxations].join(", ");
  const [only, ...others] = scanned;
  if (only === undefined || others.length > 0 || judgements.length > 1) return headers;
  headers["x-clamgate-sha256"] = only.report.sha256;
  headers["x-clamgate-cache"] = only.report.isCached ? "hit" : "miss";
  const names = findings(only);
  if (names.length > 0) headers["x-clamgate-signature"] = visible(names);
  return headers;
}

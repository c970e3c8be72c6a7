/** One call of the scan function, its report kept and its bytes let go: the fronts' answers need no more. */

import { type ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { Scan, ScannedBody, ScanOptions } from "../../core/scan.ts";

export type Judgement =
  | ({ readonly kind: "scanned" } & Pick<ScannedBody, "report" | "decision">)
  | { readonly kind: "failed"; readonly error: ClamgateError };

/** Never rejects. */
export async function judge(scan: Scan, body: AsyncIterable<Uint8Array>, options: Omit<ScanOptions, "via">): Promise<Judgement> {
  try {
    const scanned = await scan(body, { ...options, via: "rest" });
    await scanned[Symbol.asyncDispose]();
    return { kind: "scanned", report: scanned.report, decision: scanned.decision };
  } catch (error) {
    return { kind: "failed", error: toClamgateError(error) };
  }
}

/** One call of the scan function, its report kept and its bytes let go: the fronts' answers need no more. */

import { type ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import { type Finding, type LayersOptions, scanLayers } from "../../core/scan-layers.ts";

export type Judgement = ({ readonly kind: "scanned" } & Finding) | { readonly kind: "failed"; readonly error: ClamgateError };

/** Never rejects. */
export async function judge(
  scan: Scan,
  body: AsyncIterable<Uint8Array>,
  options: Omit<LayersOptions, "via">,
): Promise<Judgement> {
  try {
    const scanned = await scanLayers(scan, body, { ...options, via: "rest" });
    await scanned[Symbol.asyncDispose]();
    return { kind: "scanned", report: scanned.report, decision: scanned.decision };
  } catch (error) {
    return { kind: "failed", error: toClamgateError(error) };
  }
}

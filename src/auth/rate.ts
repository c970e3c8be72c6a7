/** How limits and quotas are written: `100/1s`, `500M/10s`, `5T/30d`. Sizes are decimal, as in the RateLimit fields. */

import type { Rate } from "./client.ts";

const decimal = { "": 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 } as const;
/** Whole seconds: the RateLimit fields know nothing finer. */
const unitsMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** The largest integer of a structured field (RFC 9651 §3.3.1). */
const largestAmount = 999_999_999_999_999;
const longestWindowMs = 366 * unitsMs.d;

export const countRates = "a count and a time, as `100/1s`";
export const byteRates = "a size and a time, as `500M/10s` (decimal: M is 1000000)";

/** Null for what is none. */
export function parseRate(text: string, { isSize }: { readonly isSize: boolean }): Rate | null {
  const [, digits, factor, length, unit] = /^(\d{1,15})([KMGT]?)\/(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (digits === undefined || (factor !== "" && !isSize)) return null;
  const amount = Number(digits) * decimal[factor as keyof typeof decimal];
  const windowMs = Number(length) * unitsMs[unit as keyof typeof unitsMs];
  const isUsable = amount >= 1 && amount <= largestAmount && windowMs >= 1 && windowMs <= longestWindowMs;
  return isUsable ? { amount, windowMs } : null;
}

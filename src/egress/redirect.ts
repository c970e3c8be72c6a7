/** Where a redirect leads (download-proxy.md P23, S9). Whether one may go there is for the gate to say, as for any target. */

import type { ExchangeAnswer } from "./exchange.ts";
import { valuesOf } from "./header-lines.ts";
import { brokenAnswer } from "./refusal.ts";
import { type Target, targetOf, urlOf } from "./target.ts";

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Null for an answer that is no redirect, or one that does not say where to: that is an answer like any other.
 * @throws ClamgateError `upstream-failed` for a Location that is no address to go to.
 */
export function redirectOf(from: Target, { status, lines }: Pick<ExchangeAnswer, "status" | "lines">): Target | null {
  if (!redirects.has(status)) return null;
  const [location, ...others] = new Set(valuesOf(lines, "location"));
  if (location === undefined) return null;
  // URL would drop line breaks and tabs without a word (S2).
  const isClear = others.length === 0 && !hasControlCharacter(location);
  const target = isClear ? targetOf(URL.parse(decoded(location), urlOf(from))) : null;
  if (target === null) throw brokenAnswer("The origin redirects to what is no address");
  return target;
}

/** Origins write UTF-8 where they should percent-encode; whatever is not UTF-8 stays as it is, byte for byte. */
function decoded(latin1: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(latin1, "latin1"));
  } catch {
    return latin1; // bytes that are no UTF-8
  }
}

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < " " || character === "\x7f");
}

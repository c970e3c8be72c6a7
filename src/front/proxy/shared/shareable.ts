/** Whether an answer may satisfy other requests than the one it was made for (RFC 9111 §3, §3.5, §4.1, §5.2.2.5, §5.2.2.7). */

import { trimBlanks } from "../../../core/blanks.ts";
import { type HeaderLines, listOf, valuesOf } from "../../../egress/header-lines.ts";

/**
 * Of requests that are equal in all that the origin is told, so that a Vary on fields can tell none of them from another. An answer that is
 * to be validated before it is used again (`no-cache`) is as new as any: whoever shares it had asked before its head came.
 * @param heads of the answer, and of the redirects that led to it: a ticket may be handed out by any of them.
 * @param isAuthorized the requests have the same credentials, which is no word on what their clients may share.
 */
export function isShareable(heads: readonly HeaderLines[], isAuthorized: boolean): boolean {
  return heads.every((lines) => {
    const said = [...listOf(lines, "cache-control"), ...listOf(lines, "vary")];
    // Some take off a no-break space and find a word there.
    if (said.some((element) => /[^\t\x20-\x7e]/.test(element))) return false;
    const directives = new Set(listOf(lines, "cache-control").map(nameOf));
    const isOpen = ["public", "must-revalidate", "s-maxage"].some((name) => directives.has(name));
    if (isAuthorized && !isOpen) return false;
    if (directives.has("no-store") || directives.has("private")) return false;
    return !listOf(lines, "vary").includes("*") && valuesOf(lines, "set-cookie").length === 0;
  });
}

function nameOf(directive: string): string {
  const [name = ""] = directive.split("=", 1);
  return trimBlanks(name).toLowerCase();
}

/** Whether a client's If-Match or If-Unmodified-Since holds for a copy (RFC 9110 §13.1.1, §13.1.4, §13.2.2), where its origin did not ask. */

import type { Copy } from "../../core/given-copies.ts";
import { type HeaderLines, listOf, soleValue, valuesOf } from "../../egress/header-lines.ts";

export type Precondition =
  | { readonly kind: "none" }
  | { readonly kind: "failed" }
  /** Any copy will do: `If-Match: *`. */
  | { readonly kind: "any" }
  /** Of the copy that had this validator; null: of one that no validator of this answer names. */
  | { readonly kind: "same"; readonly validator: string | null };

/** Of conditions that are answered with 412. */
export const preconditionNames = ["if-match", "if-unmodified-since"] as const;

/** @param origin the headers that the copy came with. */
export function preconditionOf(client: HeaderLines, origin: HeaderLines): Precondition {
  const tags = valuesOf(client, "if-match");
  if (tags.length > 0) return ifMatch(client, strongTag(origin));
  const since = soleValue(client, "if-unmodified-since");
  return since.kind === "value" ? ifUnmodifiedSince(since.value, lastModified(origin)) : { kind: "none" };
}

/** What clients may know the copy by: RFC 9110 §8.8. A weak tag is no lock, so nobody puts parts together by it. */
export function validatorsOf(origin: HeaderLines): Copy["validators"] {
  return [strongTag(origin), lastModified(origin)].filter((validator) => validator !== null);
}

function ifMatch(client: HeaderLines, known: string | null): Precondition {
  const listed = listOf(client, "if-match");
  if (listed.length === 1 && listed[0] === "*") return { kind: "any" };
  // A tag may hold commas; and some clients leave out the quotes, to which their origins say nothing.
  const quoted = valuesOf(client, "if-match").flatMap((value) => value.match(/(W\/)?"[^"]*"/g) ?? []);
  const bare = listed.filter((element) => !element.includes('"')).map((element) => `"${element}"`);
  const isListed = known !== null && [...quoted, ...bare].includes(known);
  return isListed ? { kind: "same", validator: known } : { kind: "failed" };
}

/** What is no date, or has none to be compared with, is no condition; that the copy is another one may still be known by its digest. */
function ifUnmodifiedSince(since: string, modified: string | null): Precondition {
  const limit = Date.parse(since);
  if (Number.isNaN(limit)) return { kind: "none" };
  if (modified !== null && Date.parse(modified) > limit) return { kind: "failed" };
  return { kind: "same", validator: modified === since ? modified : null };
}

function strongTag(origin: HeaderLines): string | null {
  const tag = soleValue(origin, "etag");
  return tag.kind === "value" && tag.value.startsWith('"') ? tag.value : null;
}

function lastModified(origin: HeaderLines): string | null {
  const modified = soleValue(origin, "last-modified");
  return modified.kind === "value" ? modified.value : null;
}

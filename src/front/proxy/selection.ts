/**
 * What of a scanned copy a client is given: all of it, the part that it asks for, or word that its condition does not hold
 * (RFC 9110 §13.2.2, §14; download-proxy.md P45).
 *
 * A client that puts a file together from parts of two copies has what nobody has scanned, however clean each copy is. So all parts that
 * are given of one address are of one copy, by its digest, for as long as a client may come back for more: a day after anything was last
 * given of another copy. A whole answer counts as given, too, since it may break off. Until then a Range gets the whole, which replaces
 * what the client has, and a condition that names a copy does not hold. A client that names its copy by a validator gets its part sooner,
 * if no other copy ever came with that one: the origin's tag is as good as a digest while the digests behind it say so. It is the origin's
 * and not one that we make of the digest, because the origin must know it when the client revalidates.
 */

import type { Copy, KnownCopies } from "../../core/given-copies.ts";
import { type HeaderLines, listOf, soleValue, valuesOf } from "../../egress/header-lines.ts";

export type Selection = RangeAnswer | { readonly kind: "failed" };

export interface Selectable {
  readonly copy: Copy;
  /** The headers that it came with. */
  readonly lines: HeaderLines;
  readonly size: number;
  /** False for what is never given in parts. */
  readonly isSliceable: boolean;
}

/** @param known of the address; null where that cannot be told. */
export function select(
  client: HeaderLines,
  { copy, lines, size, isSliceable }: Selectable,
  known: KnownCopies | null,
): Selection {
  const isSame = (validator: string | null) =>
    known !== null && (known.isSole(copy) || (validator !== null && known.isSoleWith(validator, copy)));
  const precondition = preconditionOf(client, lines);
  if (precondition.kind === "failed") return { kind: "failed" };
  const lock = precondition.kind === "same" ? precondition.validator : null;
  if (precondition.kind === "same" && known !== null && !isSame(lock)) return { kind: "failed" };
  if (!hasRange(client)) return { kind: "whole" };
  const condition = conditionOfRange(client, lines);
  if (isSame(lock) || (condition.kind === "same" && isSame(condition.validator)))
    return isSliceable && condition.kind !== "other" ? rangeOf(client, size) : { kind: "whole" };
  return skipsInWholes(client) ? { kind: "failed" } : { kind: "whole" };
}

/** Whether the answer may be another one than the whole: only the copy itself tells. */
export function isSelective(client: HeaderLines): boolean {
  return ["range", ...preconditionNames].some((name) => valuesOf(client, name).length > 0);
}

/** GNU wget takes off as much of a whole as it has already, and adds the rest to that. It gives up at 412. */
function skipsInWholes(client: HeaderLines): boolean {
  return valuesOf(client, "user-agent").some((agent) => /^wget\//i.test(agent));
}

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

export type RangeAnswer =
  | { readonly kind: "whole" }
  /** @param end exclusive. */
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

const whole: RangeAnswer = { kind: "whole" };

export function hasRange(client: HeaderLines): boolean {
  return valuesOf(client, "range").length > 0;
}

/** What is not understood, and several ranges at once, are answered with the whole (§14.2). */
export function rangeOf(client: HeaderLines, size: number): RangeAnswer {
  const range = soleValue(client, "range");
  if (range.kind !== "value") return whole;
  const [, first = "", last = ""] = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(range.value) ?? [];
  if (first === "") return last === "" ? whole : suffix(Number(last), size);
  const start = Number(first);
  if (last !== "" && Number(last) < start) return whole;
  if (start >= size) return { kind: "unsatisfiable" };
  return { kind: "part", start, end: last === "" ? size : Math.min(Number(last) + 1, size) };
}

function suffix(bytes: number, size: number): RangeAnswer {
  if (bytes === 0 || size === 0) return { kind: "unsatisfiable" };
  return { kind: "part", start: Math.max(0, size - bytes), end: size };
}

export type RangeCondition =
  | { readonly kind: "none" }
  /** The client has a part of another copy. */
  | { readonly kind: "other" }
  | { readonly kind: "same"; readonly validator: string };

/**
 * RFC 9110 §13.1.5: a strong tag, or exactly the date that the copy has.
 * @param origin the headers that the copy came with.
 */
export function conditionOfRange(client: HeaderLines, origin: HeaderLines): RangeCondition {
  const condition = soleValue(client, "if-range");
  switch (condition.kind) {
    case "absent":
      return { kind: "none" };
    case "repeated":
      return { kind: "other" };
    case "value": {
      const name = condition.value.startsWith('"') ? "etag" : "last-modified";
      const [known, ...others] = valuesOf(origin, name);
      const isSame = others.length === 0 && known === condition.value;
      return isSame ? { kind: "same", validator: condition.value } : { kind: "other" };
    }
  }
}

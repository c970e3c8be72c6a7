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
import { type HeaderLines, valuesOf } from "../../egress/header-lines.ts";
import { conditionOfRange, hasRange, type RangeAnswer, rangeOf } from "./byte-range.ts";
import { preconditionNames, preconditionOf } from "./preconditions.ts";

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

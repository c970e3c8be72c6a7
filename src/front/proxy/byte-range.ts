/** Which part of a whole, scanned copy a client asks for (RFC 9110 §14, download-proxy.md P45). */

import { type HeaderLines, soleValue, valuesOf } from "../../egress/header-lines.ts";

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

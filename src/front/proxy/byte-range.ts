/** Which part of a whole, scanned copy a client asks for (RFC 9110 §14, download-proxy.md P45). */

import { type HeaderLines, soleValue, valuesOf } from "./header-lines.ts";

export type RangeAnswer =
  | { readonly kind: "whole" }
  /** @param end exclusive. */
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

const whole: RangeAnswer = { kind: "whole" };

/**
 * What is not understood, several ranges at once, and a condition that does not hold are answered with the whole (§14.2).
 * @param origin the headers that the copy came with.
 */
export function rangeOf(client: HeaderLines, origin: HeaderLines, size: number): RangeAnswer {
  const range = soleValue(client, "range");
  if (range.kind !== "value" || !isSameCopy(client, origin)) return whole;
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

/** RFC 9110 §13.1.5: a strong tag, or exactly the date that the copy has. */
function isSameCopy(client: HeaderLines, origin: HeaderLines): boolean {
  const condition = soleValue(client, "if-range");
  switch (condition.kind) {
    case "absent":
      return true;
    case "repeated":
      return false;
    case "value": {
      const name = condition.value.startsWith('"') ? "etag" : "last-modified";
      const [known, ...others] = valuesOf(origin, name);
      return others.length === 0 && known === condition.value;
    }
  }
}

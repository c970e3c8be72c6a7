/** Header lines as Node and undici give them: names and values in turn, in their order, repeated ones apart. */

import { hopByHopFields } from "../codec/field-name.ts";
import { trimBlanks } from "../core/blanks.ts";

export type HeaderLines = readonly string[];

export function* pairs(lines: HeaderLines): Generator<readonly [name: string, value: string]> {
  for (let at = 0; at + 1 < lines.length; at += 2) yield [lines[at] ?? "", lines[at + 1] ?? ""];
}

/** @param name in lower case. */
export function valuesOf(lines: HeaderLines, name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const candidate = lines[at] ?? "";
    // Most differ in length already, and need no spelling in lower case.
    if (candidate.length === name.length && candidate.toLowerCase() === name) values.push(trimBlanks(lines[at + 1] ?? ""));
  }
  return values;
}

/** The elements of a comma-separated list over all its lines (RFC 9110 §5.6.1), empty ones left out. */
export function listOf(lines: HeaderLines, name: string): string[] {
  return valuesOf(lines, name)
    .flatMap((value) => value.split(","))
    .map(trimBlanks)
    .filter((element) => element !== "");
}

/**
 * Of a header that must stand alone: Node joins repeated ones with commas, so that two `Download-From` look like one odd URL (P4).
 * An empty value counts as absent.
 */
export function soleValue(
  lines: HeaderLines,
  name: string,
): { readonly kind: "absent" } | { readonly kind: "repeated" } | { readonly kind: "value"; readonly value: string } {
  const [value = "", ...more] = valuesOf(lines, name);
  if (more.length > 0) return { kind: "repeated" };
  return value === "" ? { kind: "absent" } : { kind: "value", value };
}

/** Whether a line can be written to the other side as it is: no name or value that would end it early (S15, RFC 9110 §5.5). */
export function isWritable(name: string, value: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

const alwaysHopByHop: ReadonlySet<string> = new Set(hopByHopFields);

/** Meant for one connection only (RFC 9110 §7.6.1), in lower case: the fixed ones, and what `Connection` lists. */
export function hopByHopNames(lines: HeaderLines): ReadonlySet<string> {
  const listed = listOf(lines, "connection").map((name) => name.toLowerCase());
  return listed.every((name) => alwaysHopByHop.has(name)) ? alwaysHopByHop : new Set([...alwaysHopByHop, ...listed]);
}

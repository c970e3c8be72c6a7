/** One entry of the settings table: a variable's name, how it is read, what it is without, and what it is for. */

import type { Base, Parser } from "./parser.ts";

export const groups = [
  "Addresses",
  "Access",
  "Engine",
  "Limits of one scan",
  "Signatures",
  "Storage",
  "Scanning",
  "Verdict cache",
  "Download proxy",
  "ICAP",
  "clamd door",
  "Clients",
  "Running",
] as const;

export type Group = (typeof groups)[number];

export type Default<Value> =
  /** As one would write it; read by the setting's own parser, so it cannot be wrong in another way than a value. */
  | { readonly kind: "written"; readonly text: string }
  /** Config holds null. */
  | { readonly kind: "unset" }
  | { readonly kind: "derived"; readonly text: string; readonly from: (base: Base) => Value };

export interface Setting<Name extends string = string, Value = unknown, From extends Default<Value> = Default<Value>> {
  /** The environment variable. */
  readonly name: Name;
  readonly group: Group;
  readonly parser: Parser<Value>;
  readonly default: From;
  /** Markdown, one paragraph. */
  readonly help: string;
  /** True when `allow_origins` names the variable as well as `ALLOW_ORIGINS` (rest.md 62). */
  readonly isAnyCase?: boolean;
  /** Not read, and null, where that other setting is unset: a cluster sets PROXY_PORT for a service called "proxy". */
  readonly onlyWith?: string;
}

/** Keeps the literal name and the kind of default in the type, from which Config is derived. */
export function setting<const Name extends string, Value, const From extends Default<Value>>(
  entry: Setting<Name, Value, From>,
): Setting<Name, Value, From> {
  return entry;
}

export function written(text: string): { readonly kind: "written"; readonly text: string } {
  return { kind: "written", text };
}

export const unset = { kind: "unset" } as const;

/** @param text what the table prints in place of a value. */
export function derived<Value>(
  text: string,
  from: (base: Base) => Value,
): { readonly kind: "derived"; readonly text: string; readonly from: (base: Base) => Value } {
  return { kind: "derived", text, from };
}

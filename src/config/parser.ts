/** What turns the text of a variable into a typed value, or says what is wrong with it. */

/** What a parser, or a default, may depend on: where the process stands, and the settings that others derive from. */
export interface Base {
  /** Absolute; relative paths are resolved against it. */
  readonly cwd: string;
  /** Processor cores this process may use. */
  readonly cores: number;
  /** STATE_DIRECTORY, absolute. */
  readonly stateDirectory: string;
  /** MAX_SCAN_TIME. */
  readonly maxScanTimeMs: number;
}

export interface Wrong {
  /** The piece at fault as it may be shown: a parser that sees credentials has masked them already. */
  readonly text: string;
  /** Reads on from the piece: `is not a size`, `is too large`. */
  readonly why: string;
}

export type Parsed<Value> =
  | { readonly kind: "value"; readonly value: Value }
  | { readonly kind: "wrong"; readonly wrongs: readonly Wrong[] };

export interface Parser<Value> {
  /** Reads on from "allowed are": units and range included. */
  readonly allowed: string;
  /** True when white space around the text belongs to the value, as in a password. */
  readonly isVerbatim?: boolean;
  /** Never throws. The text is trimmed unless `isVerbatim`. */
  parse(text: string, base: Base): Parsed<Value>;
}

export function value<Value>(parsed: Value): Parsed<Value> {
  return { kind: "value", value: parsed };
}

export function wrong(text: string, why: string): Parsed<never> {
  return { kind: "wrong", wrongs: [{ text, why }] };
}

/** A line break in a value would write a second option into clamd.conf or freshclam.conf. */
export function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < " " || character === "\x7f");
}

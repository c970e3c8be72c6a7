/** Whole numbers in a range. */

import { type Parsed, type Parser, value, wrong } from "./parser.ts";

/** Both ends included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** What fits every 32-bit field of clamd: it takes 4294967296 for MaxFiles and reads 0, "no limit". */
export const largestCount = 2_147_483_647;

export function wholeNumber(range: Range): Parser<number> {
  return {
    allowed: `whole numbers from ${range.from} to ${range.to}`,
    parse: (text) => (isDigits(text) ? inRange(text, Number(text), range) : wrong(text, "is not a whole number")),
  };
}

export function isDigits(text: string): boolean {
  return /^\d+$/.test(text);
}

export function inRange(text: string, number: number, { from, to }: Range): Parsed<number> {
  if (number < from) return wrong(text, "is too small");
  if (number > to) return wrong(text, "is too large");
  return value(number);
}

/** A parser for values whose own reader says null to what it does not understand. */

import { hasControlCharacter, type Parser, value, wrong } from "./parser.ts";

/** @param what reads on from "is not": `an origin`. */
export function readBy<Value>(read: (text: string) => Value | null, what: string, allowed: string): Parser<Value> {
  return {
    allowed,
    parse(text) {
      const parsed = hasControlCharacter(text) ? null : read(text);
      return parsed === null ? wrong(text, `is not ${what}`) : value(parsed);
    },
  };
}

/** Values that are passed on as they are: names, passwords, origins. */

import { hasControlCharacter, type Parser, value, wrong } from "./parser.ts";

export function name(): Parser<string> {
  return {
    allowed: "characters without control characters",
    parse: (text) => (hasControlCharacter(text) ? wrong(text, "has control characters") : value(text)),
  };
}

/** Never shown, spaces at its ends included in it. */
export function secret(): Parser<string> {
  return {
    allowed: "characters without control characters",
    isVerbatim: true,
    parse: (text) => (hasControlCharacter(text) ? wrong("***", "has control characters") : value(text)),
  };
}

/** As loose as rs/cors, which takes any text with `*` in it; what is no origin matches none. */
export function origin(): Parser<string> {
  return {
    allowed: "origins such as `https://app.example`, `https://*.example` or `*`",
    parse: (text) => (hasControlCharacter(text) || /\s/.test(text) ? wrong(text, "is not an origin") : value(text)),
  };
}

/** One word of a closed set, in upper or lower case. */

import { type Parser, value, wrong } from "./parser.ts";

/** @param noun reads on from "is not": `a log level`. */
export function choice<const Word extends string>(noun: string, words: readonly Word[]): Parser<Word> {
  return {
    allowed: words.join(", "),
    parse(text) {
      const found = words.find((word) => word === text.toLowerCase());
      return found === undefined ? wrong(text, `is not ${noun}`) : value(found);
    },
  };
}

export function yesOrNo(): Parser<boolean> {
  const words = choice("yes or no", ["yes", "no", "true", "false", "on", "off", "1", "0"]);
  return {
    allowed: words.allowed,
    parse(text, base) {
      const parsed = words.parse(text, base);
      if (parsed.kind === "wrong") return parsed;
      return value(["yes", "true", "on", "1"].includes(parsed.value));
    },
  };
}

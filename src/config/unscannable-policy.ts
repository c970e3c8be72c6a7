/** Which unscannable bodies pass all the same. */

import { type UnscannableReason, unscannableReasons } from "../core/verdict.ts";
import { choice, list, type Parser, value, wrong } from "./parser.ts";

/** The value is the set of reasons that are allowed; `block` is the empty set. */
export function unscannablePolicy(): Parser<ReadonlySet<UnscannableReason>> {
  const reasons = list({ item: choice("a reason", unscannableReasons), separator: "," });
  return {
    allowed: `\`block\`, \`allow\`, or \`allow:\` and reasons separated by commas: ${unscannableReasons.join(", ")}`,
    parse(text, base) {
      const [word, list] = halves(text);
      if (word === "block" && list === null) return value(new Set());
      if (word === "allow" && list === null) return value(new Set(unscannableReasons));
      if (word !== "allow" || list === null) return wrong(text, "is not a policy");
      const parsed = reasons.parse(list, base);
      if (parsed.kind === "wrong") return parsed;
      // `allow:` with nothing behind it could mean all or none.
      return parsed.value.length === 0 ? wrong(text, "names no reason") : value(new Set(parsed.value));
    },
  };
}

function halves(text: string): readonly [word: string, list: string | null] {
  const colon = text.indexOf(":");
  const word = colon === -1 ? text : text.slice(0, colon);
  return [word.toLowerCase(), colon === -1 ? null : text.slice(colon + 1)];
}

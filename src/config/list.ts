/** Several values in one variable; every wrong one is told, not only the first. */

import { type Parser, value, type Wrong } from "./parser.ts";

export interface ListOptions<Item> {
  readonly item: Parser<Item>;
  readonly separator: keyof typeof separatorNames;
}

/** Any character of the key separates. */
const separatorNames = { ",": "commas", ":": "colons", "; ,": "semicolons, commas or spaces" } as const;

/** Empty pieces do not count, so `a,,b,` is two values and an empty text none. */
export function list<Item>({ item, separator }: ListOptions<Item>): Parser<readonly Item[]> {
  return {
    allowed: `${item.allowed}; several are separated by ${separatorNames[separator]}`,
    parse(text, base) {
      const values: Item[] = [];
      const wrongs: Wrong[] = [];
      for (const piece of pieces(text, separator)) {
        const parsed = item.parse(piece, base);
        if (parsed.kind === "value") values.push(parsed.value);
        else wrongs.push(...parsed.wrongs);
      }
      return wrongs.length === 0 ? value(values) : { kind: "wrong", wrongs };
    },
  };
}

function pieces(text: string, separator: string): string[] {
  return text
    .split(new RegExp(`[${separator}]`))
    .map((piece) => piece.trim())
    .filter((piece) => piece !== "");
}

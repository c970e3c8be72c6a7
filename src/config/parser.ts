/** What turns the text of a variable into a typed value, or says what is wrong with it; and the parsers for words, lists and texts. */

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

/** @param noun reads on from "is not": `a log level`. */
/** @param aliases names that a word had before, which are still taken. */
export function choice<const Word extends string>(
  noun: string,
  words: readonly Word[],
  aliases: readonly (readonly [alias: string, word: NoInfer<Word>])[] = [],
): Parser<Word> {
  return {
    allowed: words.join(", "),
    parse(text) {
      const lower = text.toLowerCase();
      const found = words.find((word) => word === lower) ?? new Map(aliases).get(lower);
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

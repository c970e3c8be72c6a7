/** Sizes in bytes, as clamd writes them: `25M`, `512k`, `1G`, `68`. */

import { type Parser, wrong } from "./parser.ts";
import { inRange, type Range } from "./whole-number.ts";

const kibi = 1024;
const units = { K: kibi, M: kibi ** 2, G: kibi ** 3 } as const;

export const mebibyte = units.M;
export const gibibyte = units.G;

export function size(range: Range): Parser<number> {
  return {
    allowed: `whole bytes or a number with K, M or G, from ${formatSize(range.from)} to ${formatSize(range.to)}`,
    parse(text) {
      const [, digits, unit] = /^(\d+)([KMG]?)$/.exec(text.toUpperCase()) ?? [];
      if (digits === undefined) return wrong(text, "is not a size");
      return inRange(text, Number(digits) * factor(unit), range);
    },
  };
}

/** The shortest exact way to write a size: 26214400 is `25M`, 26214401 itself. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return "0";
  if (bytes % units.G === 0) return `${bytes / units.G}G`;
  if (bytes % units.M === 0) return `${bytes / units.M}M`;
  if (bytes % units.K === 0) return `${bytes / units.K}K`;
  return String(bytes);
}

function factor(unit: string | undefined): number {
  return unit === "K" || unit === "M" || unit === "G" ? units[unit] : 1;
}

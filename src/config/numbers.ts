/** Whole numbers, sizes in bytes and durations. */

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

function inRange(text: string, number: number, { from, to }: Range): Parsed<number> {
  if (number < from) return wrong(text, "is too small");
  if (number > to) return wrong(text, "is too large");
  return value(number);
}

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

const unitsMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const plainUnits = { s: "seconds", h: "hours" } as const;

export const secondMs = unitsMs.s;
export const hourMs = unitsMs.h;
export const dayMs = unitsMs.d;

/** setTimeout fires at once when asked to wait longer than 2^31 - 1 ms, which is 24.8 days. */
export const longestTimerMs = 24 * dayMs;

export interface DurationRange {
  readonly fromMs: number;
  readonly toMs: number;
  /** What a number without a unit counts; default seconds. */
  readonly plainUnit?: keyof typeof plainUnits;
}

/** The value is milliseconds. */
export function duration({ fromMs, toMs, plainUnit = "s" }: DurationRange): Parser<number> {
  const range = `from ${formatDuration(fromMs)} to ${formatDuration(toMs)}`;
  return {
    allowed: `whole ${plainUnits[plainUnit]} or a number with ms, s, m, h or d, ${range}`,
    parse(text) {
      const [, digits, unit] = /^(\d+)(ms|s|m|h|d|)$/.exec(text.toLowerCase()) ?? [];
      if (digits === undefined) return wrong(text, "is not a duration");
      return inRange(text, Number(digits) * (isUnit(unit) ? unitsMs[unit] : unitsMs[plainUnit]), { from: fromMs, to: toMs });
    },
  };
}

/** The shortest exact way to write a duration: 90000 is `90s`, 60000 is `1m`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0";
  if (ms % unitsMs.d === 0) return `${ms / unitsMs.d}d`;
  if (ms % unitsMs.h === 0) return `${ms / unitsMs.h}h`;
  if (ms % unitsMs.m === 0) return `${ms / unitsMs.m}m`;
  if (ms % unitsMs.s === 0) return `${ms / unitsMs.s}s`;
  return `${ms}ms`;
}

function isUnit(unit: string | undefined): unit is keyof typeof unitsMs {
  return unit !== undefined && Object.hasOwn(unitsMs, unit);
}

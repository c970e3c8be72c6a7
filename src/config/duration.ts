/** Durations: `24h`, `30s`, `500ms`, `10m`, `7d`, or a plain number of the setting's own unit. */

import { type Parser, wrong } from "./parser.ts";
import { inRange } from "./whole-number.ts";

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

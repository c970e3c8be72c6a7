/** One line of the benchmark's table. */

import type { Spread } from "./load/statistics.ts";
import { type Sample, type Samples, spreadBy } from "./measure.ts";

export interface Row {
  /** The scenario it comes from, as `--only` takes it. */
  readonly scenario: string;
  readonly what: string;
  /** Null: told for what it tells, without a bar to pass. */
  readonly target: Target | null;
  readonly measured: Spread;
  readonly unit: "×" | "ms" | "MiB" | "s";
  /** A peak, not a rate: one measurement decides. */
  readonly isOneShot?: true;
  /** What the measured figure was made of. */
  readonly figures: readonly Figure[];
}

export type Target = { readonly atLeast: number } | { readonly atMost: number };

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly spread: Spread;
  /** Cores in use meanwhile, by process. */
  readonly cores?: Readonly<Record<string, number>>;
}

/** Fewer rounds than these can be all noise. */
const fewestRounds = 3;

export type Outcome = "pass" | "FAIL" | "too few rounds";

/** By the median. Null without a target. */
export function outcomeOf({ target, measured, isOneShot }: Row): Outcome | null {
  if (target === null) return null;
  if (measured.count < fewestRounds && isOneShot !== true) return "too few rounds";
  const isMet = "atLeast" in target ? measured.median >= target.atLeast : measured.median <= target.atMost;
  return isMet ? "pass" : "FAIL";
}

/** A figure for each subject, with the cores that were in use. */
export function figuresOf(samples: Samples, unit: string, value: (sample: Sample) => number): readonly Figure[] {
  return [...samples.keys()].map((name) => {
    const all = samples.get(name) ?? [];
    const processes = [...new Set(all.flatMap(({ cores }) => Object.keys(cores)))];
    const cores = processes.map((process) => [process, spreadBy(samples, name, (sample) => sample.cores[process] ?? 0).median]);
    return { name, unit, spread: spreadBy(samples, name, value), cores: Object.fromEntries(cores) };
  });
}

/** One line of the benchmark's table. */

import type { Spread } from "./load/statistics.ts";
import { rate, type Sample, type Samples, spreadBy } from "./measure.ts";

export interface Row {
  /** The scenario it comes from, as `--only` takes it. */
  readonly scenario: string;
  readonly what: string;
  /** Null: told for what it tells, without a bar to pass. */
  readonly target: Target | null;
  readonly measured: Spread;
  readonly unit: "×" | "ms" | "MiB" | "s" | "promises";
  /** A peak or a count, not a rate: one measurement decides. */
  readonly isOneShot?: true;
  /** What the measured figure was made of. */
  readonly figures: readonly Figure[];
}

export type Target = { readonly atLeast: number } | { readonly atMost: number };

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly spread: Spread;
  /** What processes used meanwhile, by their names. */
  readonly processes?: Readonly<Record<string, ProcessorUse>>;
}

export interface ProcessorUse {
  /** On average. */
  readonly cores: number;
  /** Milliseconds. */
  readonly perRequest: number;
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

/** A figure for each subject, with what its processes used. */
export function figuresOf(samples: Samples, unit: string, value: (sample: Sample) => number): readonly Figure[] {
  return [...samples.keys()].map((name) => {
    const all = samples.get(name) ?? [];
    const processes = [...new Set(all.flatMap(({ cores }) => Object.keys(cores)))];
    const used = processes.map((process) => {
      const cores = (sample: Sample) => sample.cores[process] ?? 0;
      const perRequest = (sample: Sample) => (cores(sample) / rate(sample)) * 1000;
      return [process, { cores: median(samples, name, cores), perRequest: median(samples, name, perRequest) }] as const;
    });
    return { name, unit, spread: spreadBy(samples, name, value), processes: Object.fromEntries(used) };
  });
}

function median(samples: Samples, name: string, value: (sample: Sample) => number): number {
  return spreadBy(samples, name, value).median;
}

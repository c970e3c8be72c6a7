/** Measures subjects in turn, round after round, so that whatever else the machine does falls on all of them alike. */

import type { LoadOrder, LoadResult } from "./load/load.ts";
import type { LoadProcess } from "./load/load-process.ts";
import { type Spread, spreadOf } from "./load/statistics.ts";
import { processorSeconds } from "./subjects/processes.ts";

export interface Subject {
  readonly name: string;
  readonly load: LoadOrder["load"];
  /** Whose processor time is told beside the rate. */
  readonly processes: readonly { readonly name: string; readonly pid: number }[];
}

export interface MeasureOptions {
  readonly load: LoadProcess;
  readonly clients: number;
  readonly rounds: number;
  readonly seconds: number;
}

export interface Sample extends LoadResult {
  /** Cores in use, on average, by process. */
  readonly cores: Readonly<Record<string, number>>;
}

export type Samples = ReadonlyMap<string, readonly Sample[]>;

/** A turn ends with its last answer, which an engine on a busy machine may take long for: no further round begins after that. */
const mostMs = 100_000;

/** A B C A B C …: one sample of each subject in each round. At least one round, and as many as are wanted while there is time. */
export async function measureInTurn(subjects: readonly Subject[], options: MeasureOptions): Promise<Samples> {
  const samples = new Map<string, Sample[]>(subjects.map(({ name }) => [name, []]));
  const startedAt = performance.now();
  for (let round = 0; round < options.rounds; round += 1) {
    if (round > 0 && performance.now() - startedAt > mostMs) break;
    for (const subject of subjects) samples.get(subject.name)?.push(await measureOnce(subject, options));
  }
  return samples;
}

async function measureOnce({ load, processes }: Subject, options: MeasureOptions): Promise<Sample> {
  const watched = [...processes, { name: "load", pid: options.load.pid }];
  const before = await Promise.all(watched.map(({ pid }) => processorSeconds(pid)));
  const result = await options.load.run({ load, clients: options.clients, seconds: options.seconds, most: null });
  const after = await Promise.all(watched.map(({ pid }) => processorSeconds(pid)));
  const used = watched.flatMap(({ name }, index) => {
    const [from, to] = [before[index] ?? null, after[index] ?? null];
    return from === null || to === null ? [] : [[name, (to - from) / result.seconds] as const];
  });
  return { ...result, cores: Object.fromEntries(used) };
}

/** Requests a second. */
export const rate = ({ count, seconds }: Sample): number => count / seconds;
/** Megabytes of bodies a second. */
export const megabytes = ({ bytes, seconds }: Sample): number => bytes / seconds / 1e6;

/** `value` of one subject over that of another in the same round. */
export function ratios(samples: Samples, over: string, under: string, value: (sample: Sample) => number): Spread {
  const below = samples.get(under) ?? [];
  const all = (samples.get(over) ?? []).map((sample, round) => {
    const other = below[round];
    return other === undefined ? Number.NaN : value(sample) / value(other);
  });
  return spreadOf(all);
}

/** How much more milliseconds `over` takes than `under` in the same round. */
export function differences(samples: Samples, over: string, under: string, value: (sample: Sample) => number): Spread {
  const below = samples.get(under) ?? [];
  const all = (samples.get(over) ?? []).map((sample, round) => {
    const other = below[round];
    return other === undefined ? Number.NaN : value(sample) - value(other);
  });
  return spreadOf(all);
}

export function spreadBy(samples: Samples, name: string, value: (sample: Sample) => number): Spread {
  return spreadOf((samples.get(name) ?? []).map(value));
}

/** Of these subjects the one with the highest median. */
export function best(samples: Samples, names: readonly string[], value: (sample: Sample) => number): string {
  const [first = "", ...others] = names;
  return others.reduce(
    (leader, name) => (spreadBy(samples, name, value).median > spreadBy(samples, leader, value).median ? name : leader),
    first,
  );
}

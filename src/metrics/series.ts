/** Counters and histograms as ready-made children: label values are looked up once, when they are made, not at each event. */

import { Counter, Histogram, type Registry } from "@prometheus-io/client";

export interface Series {
  /** Adds `by`, 1 if not given. */
  inc(by?: number): void;
}

export interface Timings {
  observe(seconds: number): void;
}

export interface SeriesName {
  readonly registry: Registry;
  readonly name: string;
  readonly help: string;
}

/** From a cached answer's millisecond to the longest time a scan is given. */
const bucketSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

export function counter({ registry, name, help }: SeriesName): Series {
  return new Counter({ name, help, registers: [registry] });
}

/** One series per value of one label, each there at 0. */
export function counterBy<V extends string>(
  series: SeriesName,
  label: string,
  values: readonly V[],
): Readonly<Record<V, Series>> {
  const family = new Counter({ name: series.name, help: series.help, labelNames: [label], registers: [series.registry] });
  return perValue(values, (value) => startedAtZero(family.labels(value)));
}

/** One series per pair of two labels' values, each there at 0. */
export function counterByBoth<V extends string, W extends string>(
  series: SeriesName,
  labels: readonly [string, string],
  values: readonly V[],
  others: readonly W[],
): Readonly<Record<V, Readonly<Record<W, Series>>>> {
  const family = new Counter({ name: series.name, help: series.help, labelNames: labels, registers: [series.registry] });
  return perValue(values, (value) => perValue(others, (other) => startedAtZero(family.labels(value, other))));
}

export function timings({ registry, name, help }: SeriesName): Timings {
  return new Histogram({ name, help, buckets: bucketSeconds, registers: [registry] });
}

function startedAtZero(series: Series): Series {
  series.inc(0);
  return series;
}

function perValue<V extends string, S>(values: readonly V[], make: (value: V) => S): Readonly<Record<V, S>> {
  // Object.fromEntries forgets which keys it was given; they are exactly `values`.
  return Object.fromEntries(values.map((value) => [value, make(value)])) as Record<V, S>;
}

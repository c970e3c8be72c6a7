/** The gateway's Prometheus metrics: counted from events, read from a snapshot at each scrape. */

import { performance } from "node:perf_hooks";
import { collectDefaultMetrics, Registry } from "@prometheus-io/client";
import type { Clock } from "../core/clock.ts";
import type { Emit } from "../core/events.ts";
import { countEvents } from "./event-counters.ts";
import { createGauges, type GaugeSnapshot } from "./gauges.ts";
import { createUpdateGauges, type UpdateTimes } from "./update-gauges.ts";

export interface MetricsText {
  readonly contentType: string;
  readonly body: string;
}

export interface Metrics {
  readonly emit: Emit;
  /**
   * Everything in the text format 0.0.4, whatever the scraper would accept: OpenMetrics renames counters without `_total`
   * (rest.md 55). Rendered anew at most once a second, but for five in a row: a flood of scrapes costs no more than that, and gets
   * what is up to a second old. Rejects when `gauges` throws.
   */
  expose(): Promise<MetricsText>;
  /** Lets go of every metric. To be called once nothing scrapes any more. */
  close(): void;
}

export interface MetricsOptions {
  /** The gateway's own version. */
  readonly version: string;
  /** Called at each scrape; must be cheap. */
  readonly gauges: () => GaugeSnapshot;
  readonly updateTimes: UpdateTimes;
  /** Names of the children there can be: they label `clamgate_child_restarts_total`; any other counts as `other`. */
  readonly children: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly clock?: Clock;
  /**
   * Whether `process_*` and `nodejs_*` are there too (default true). The library watches garbage collection and the event loop for
   * them until the process ends; neither keeps the process alive, but a test that makes many gateways does without.
   */
  readonly hasRuntime?: boolean;
}

const renderIntervalMs = 1000;
/** Renderings in a row that need not wait: people and tests look twice. */
const renderBurst = 4;

/** Each look at the event loop's utilization sorts it into five windows of quantiles: ten a second, as the library would, are felt. */
const utilizationIntervalMs = 1000;

export function createMetrics(options: MetricsOptions): Metrics {
  const { version, updateTimes, children, now = Date.now, clock = () => performance.now(), hasRuntime = true } = options;
  const registry = new Registry(Registry.PROMETHEUS_CONTENT_TYPE);
  const emit = countEvents({ registry, children });
  const showGauges = createGauges({ registry, version, now });
  const showUpdateTimes = createUpdateGauges({ registry, updateTimes });
  let rendered: Promise<MetricsText> | null = null;
  let dueAt = Number.NEGATIVE_INFINITY;
  if (hasRuntime) collectDefaultMetrics({ register: registry, eventLoopUtilizationTimeout: utilizationIntervalMs });
  return {
    emit,
    expose() {
      const at = clock();
      if (rendered !== null && at < dueAt) return rendered;
      dueAt = Math.max(dueAt, at - renderBurst * renderIntervalMs) + renderIntervalMs;
      rendered = render();
      return rendered;
    },
    close: () => registry.clear(),
  };

  async function render(): Promise<MetricsText> {
    await showUpdateTimes();
    showGauges(options.gauges());
    return { contentType: registry.contentType, body: await registry.metrics() };
  }
}

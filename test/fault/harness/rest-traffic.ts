/** Uploads of a few popular bodies and of ever new ones, each infected or clean. */

import { closedTraffic } from "../../load/traffic.ts";
import type { FaultStage } from "./stage.ts";

export interface TrafficMeasure {
  /** Requests that were answered. */
  readonly perSecond: number;
  readonly medianMs: number;
  readonly slowestMs: number;
}

/** @param workers requests under way at any moment. */
export async function traffic(stage: FaultStage, seconds: number, workers = 8): Promise<TrafficMeasure> {
  const { rest, subjects, random } = stage;
  const popular = [subjects.infected(2_000), subjects.clean(2_000), subjects.infected(100_000), subjects.clean(100_000)];
  const times: number[] = [];
  const perSecond = await closedTraffic({ workers, seconds }, async () => {
    const fresh = () => (random.next() < 0.5 ? subjects.infected(1_000) : subjects.clean(1_000));
    const { exchange } = await rest.raw(random.next() < 0.5 ? random.pick(popular) : fresh());
    times.push(exchange.elapsedMs);
  });
  times.sort((a, b) => a - b);
  return { perSecond, medianMs: times[times.length >> 1] ?? 0, slowestMs: times.at(-1) ?? 0 };
}

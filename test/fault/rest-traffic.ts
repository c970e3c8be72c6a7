/** Uploads of a few popular bodies and of ever new ones, each infected or clean. */

import { closedTraffic } from "../load/traffic.ts";
import type { FaultStage } from "./stage.ts";

/** Resolves with the requests that were answered each second. */
export function traffic(stage: FaultStage, seconds: number): Promise<number> {
  const { rest, subjects, random } = stage;
  const popular = [subjects.infected(2_000), subjects.clean(2_000), subjects.infected(100_000), subjects.clean(100_000)];
  return closedTraffic({ workers: 8, seconds }, async () => {
    const fresh = () => (random.next() < 0.5 ? subjects.infected(1_000) : subjects.clean(1_000));
    await rest.raw(random.next() < 0.5 ? random.pick(popular) : fresh());
  });
}

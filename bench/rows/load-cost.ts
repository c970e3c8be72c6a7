/** What the load process costs by itself: with two cores, that is taken from what it measures. */

import { measureInTurn, rate, type Sample, spreadBy } from "../measure.ts";
import type { Scenario } from "../scenario.ts";
import { startNodeServer } from "../subjects/node-server.ts";

const small = { kind: "random", bytes: 1024, isUnique: true } as const;
const large = { kind: "random", bytes: 20_000_000, isUnique: true } as const;

export const loadCost: Scenario = {
  name: "load-cost",
  async run(stage) {
    await using server = await startNodeServer("null-server", await stage.directory("null-server"));
    const processes = [{ name: "null server", pid: server.program.pid }];
    const name = "a server that does nothing";
    const rounds = Math.min(3, stage.rounds);
    const subject = (body: typeof small | typeof large) => ({
      name,
      load: { kind: "upload", url: `${server.url}/v2/scan`, body } as const,
      processes,
    });
    const smallSamples = await measureInTurn([subject(small)], { ...stage, clients: 16, rounds });
    const largeSamples = await measureInTurn([subject(large)], { ...stage, clients: 4, rounds });
    const costMs = ({ cpuSeconds, count }: Sample) => (cpuSeconds / count) * 1000;
    return [
      {
        scenario: this.name,
        what: "the load process alone: processor time for an upload of 1 KiB",
        target: null,
        measured: spreadBy(smallSamples, name, costMs),
        unit: "ms",
        figures: [{ name, unit: "/s", spread: spreadBy(smallSamples, name, rate) }],
      },
      {
        scenario: this.name,
        what: "the load process alone: processor time for an upload of 20 MB",
        target: null,
        measured: spreadBy(largeSamples, name, costMs),
        unit: "ms",
        figures: [{ name, unit: "/s", spread: spreadBy(largeSamples, name, rate) }],
      },
    ];
  },
};

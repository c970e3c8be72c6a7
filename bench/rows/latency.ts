/** What one lonely client waits longer for the gateway than for clamd itself. */

import { differences, measureInTurn } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { databases } from "../stage.ts";
import { bareClients, bareNames, gatewayName, uploads } from "./bare-clients.ts";

const body = { kind: "random", bytes: 1024, isUnique: true } as const;

export const latency: Scenario = {
  name: "latency",
  async run(stage) {
    const rows: Row[] = [];
    for (const database of databases) {
      const gateway = await stage.gateway(database);
      const bare = await bareClients(stage, gateway, body, ["instream"]);
      const samples = await measureInTurn([uploads(gateway, body), ...bare], { ...stage, clients: 1 });
      for (const [percentile, atMost] of [
        ["p50", 0.5],
        ["p99", 3],
      ] as const) {
        rows.push({
          scenario: this.name,
          what: `added latency, 1 client, 1 KiB, ${database}, over bare INSTREAM: ${percentile}`,
          target: { atMost },
          measured: differences(samples, gatewayName, bareNames.instream, (sample) => sample.latency[percentile]),
          unit: "ms",
          figures: figuresOf(samples, `ms (${percentile})`, (sample) => sample.latency[percentile]),
        });
      }
    }
    return rows;
  },
};

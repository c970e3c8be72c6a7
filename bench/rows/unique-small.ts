/** Small bodies that nobody has seen: what the gateway adds to each scan. */

import { best, measureInTurn, rate, ratios } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { databases } from "../stage.ts";
import { bareClients, bareNames, gatewayName, uploads } from "./bare-clients.ts";

const clients = 16;
const body = { kind: "random", bytes: 1024, isUnique: true } as const;

export const uniqueSmall: Scenario = {
  name: "unique-small",
  async run(stage) {
    const rows: Row[] = [];
    for (const database of databases) {
      const gateway = await stage.gateway(database);
      const bare = await bareClients(stage, gateway, body, ["instream", "session", "write-and-scan", "scan"]);
      const samples = await measureInTurn([uploads(gateway, body), ...bare], { ...stage, clients });
      const rival = best(samples, [bareNames.instream, bareNames.session, bareNames["write-and-scan"]], rate);
      const figures = figuresOf(samples, "/s", rate);
      rows.push({
        scenario: this.name,
        what: `unique 1 KiB, ${clients} clients, ${database}: rate over the best bare client (${rival})`,
        target: { atLeast: database === "tiny" ? 0.75 : 0.95 },
        measured: ratios(samples, gatewayName, rival, rate),
        unit: "×",
        figures,
      });
    }
    return rows;
  },
};

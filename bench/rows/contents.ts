/** Bodies of the kinds that people send: where the engine has more to do, the gateway counts for less. */

import { bodyKinds } from "../load/body.ts";
import { measureInTurn, rate, ratios } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { bareClients, bareNames, gatewayName, uploads } from "./bare-clients.ts";

const clients = 8;

export const contents: Scenario = {
  name: "contents",
  async run(stage) {
    const gateway = await stage.gateway("S-real");
    const rows: Row[] = [];
    for (const kind of bodyKinds) {
      const body = { kind, bytes: 100_000, isUnique: true } as const;
      const bare = await bareClients(stage, gateway, body, ["instream"]);
      const rounds = Math.min(3, stage.rounds);
      const samples = await measureInTurn([uploads(gateway, body), ...bare], { ...stage, clients, rounds });
      rows.push({
        scenario: this.name,
        what: `unique 100 kB of ${kind}, ${clients} clients, S-real: rate over bare INSTREAM`,
        target: null,
        measured: ratios(samples, gatewayName, bareNames.instream, rate),
        unit: "×",
        figures: figuresOf(samples, "/s", rate),
      });
    }
    return rows;
  },
};

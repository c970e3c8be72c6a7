/** Large bodies that nobody has seen: what it costs to receive, hash and keep them before they are scanned. */

import { best, measureInTurn, megabytes, ratios, type Samples } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { databases } from "../stage.ts";
import { bareClients, bareNames, gatewayName, uploads } from "./bare-clients.ts";

const clients = 4;
const body = { kind: "random", bytes: 20_000_000, isUnique: true } as const;

export const uniqueLarge: Scenario = {
  name: "unique-large",
  async run(stage) {
    const rows: Row[] = [];
    for (const database of databases) {
      const gateway = await stage.gateway(database);
      const bare = await bareClients(stage, gateway, body, ["instream", "session", "write-and-scan", "scan"]);
      const samples = await measureInTurn([uploads(gateway, body), ...bare], { ...stage, clients });
      const rival = best(samples, [bareNames.instream, bareNames.session, bareNames["write-and-scan"]], megabytes);
      const what = `unique 20 MB, ${clients} clients, ${database}: MB/s over`;
      const row = (name: string, under: string, atLeast: number | null): Row => ({
        scenario: this.name,
        what: `${what} ${name}`,
        target: atLeast === null ? null : { atLeast },
        measured: over(samples, under),
        unit: "×",
        figures: figuresOf(samples, "MB/s", megabytes),
      });
      rows.push(row(`the best bare client (${rival})`, rival, 1), row("bare INSTREAM", bareNames.instream, 1.3));
      // No client could do that with a body it has just received; told because it is the engine's own limit.
      rows.push(row("SCAN of files that lie there already", bareNames.scan, null));
    }
    return rows;
  },
};

function over(samples: Samples, under: string) {
  return ratios(samples, gatewayName, under, megabytes);
}

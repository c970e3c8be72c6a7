/** Bodies that were judged before: no engine, only the upload itself. */

import { measureInTurn, megabytes, rate, ratios, type Subject } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { startNodeServer } from "../subjects/node-server.ts";
import { gatewayName, uploads } from "./bare-clients.ts";

const small = { kind: "random", bytes: 1024, isUnique: false } as const;
const large = { kind: "random", bytes: 20_000_000, isUnique: false } as const;
const parserName = "bare multipart parser";
const uncachedName = "clamgate, unique bodies";

export const repeated: Scenario = {
  name: "repeated",
  async run(stage) {
    const gateway = await stage.gateway("S-real");
    await using server = await startNodeServer("parse-server", await stage.directory("parse-server"));
    const parser = (body: typeof small | typeof large): Subject => ({
      name: parserName,
      load: { kind: "upload", url: `${server.url}/v2/scan`, body },
      processes: [{ name: "parser", pid: server.program.pid }],
    });
    const uncached: Subject = { ...uploads(gateway, { ...small, isUnique: true }), name: uncachedName };
    // The first of them is scanned: that must be over before the first turn.
    for (const body of [small, large])
      await stage.load.run({ load: uploads(gateway, body).load, clients: 1, seconds: 60, most: 3 });
    const smallSamples = await measureInTurn([uploads(gateway, small), parser(small), uncached], { ...stage, clients: 16 });
    const largeSamples = await measureInTurn([uploads(gateway, large), parser(large)], { ...stage, clients: 4 });
    const smallRow = (what: string, under: string, atLeast: number): Row => ({
      scenario: this.name,
      what: `repeated 1 KiB, 16 clients: rate over ${what}`,
      target: { atLeast },
      measured: ratios(smallSamples, gatewayName, under, rate),
      unit: "×",
      figures: figuresOf(smallSamples, "/s", rate),
    });
    return [
      smallRow("a server that only parses", parserName, 0.5),
      smallRow("the uncached rate with S-real", uncachedName, 10),
      {
        scenario: this.name,
        what: "repeated 20 MB, 4 clients: MB/s over a server that only parses",
        target: { atLeast: 0.6 },
        measured: ratios(largeSamples, gatewayName, parserName, megabytes),
        unit: "×",
        figures: figuresOf(largeSamples, "MB/s", megabytes),
      },
    ];
  },
};

/** The ICAP server beside c-icap with virus_scan and clamd_mod, on the same clamd. */

import type { BodyPlan } from "../load/body.ts";
import { measureInTurn, megabytes, rate, ratios, type Sample, type Subject } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { type DatabaseName, databases } from "../stage.ts";
import { hasCIcap, startCIcap } from "../subjects/c-icap.ts";
import { childOf } from "../subjects/processes.ts";

const ours = "clamgate";
const theirs = "c-icap";

interface Measured {
  readonly what: string;
  readonly databases: readonly DatabaseName[];
  readonly body: BodyPlan;
  readonly clients: number;
  readonly atLeast: number;
  readonly unit: string;
  readonly value: (sample: Sample) => number;
}

const small = { kind: "random", bytes: 10_000 } as const;
const measured: readonly Measured[] = [
  { what: "unique 10 KB", databases, body: { ...small, isUnique: true }, clients: 16, atLeast: 0.9, unit: "/s", value: rate },
  {
    what: "repeated 10 KB",
    databases: ["S-real"],
    body: { ...small, isUnique: false },
    clients: 16,
    atLeast: 5,
    unit: "/s",
    value: rate,
  },
  {
    what: "unique 5 MB",
    databases,
    body: { kind: "random", bytes: 5_000_000, isUnique: true },
    clients: 4,
    atLeast: 1,
    unit: "MB/s",
    value: megabytes,
  },
];

export const icap: Scenario = {
  name: "icap",
  missing: () => (hasCIcap() ? null : "c-icap with virus_scan is not installed"),
  async run(stage) {
    const rows: Row[] = [];
    for (const database of databases) {
      const gateway = await stage.gateway(database, { ICAP_PORT: "0" });
      const url = /ICAP on (icap:\/\/127\.0\.0\.1:\d+)/.exec(await gateway.program.output())?.[1];
      await using cIcap = await startCIcap(await stage.directory("c-icap"), gateway.socketPath);
      // The one that serves; the other one watches over it.
      const server = (await childOf(cIcap.program.pid, "c-icap")) ?? cIcap.program.pid;
      for (const { what, body, clients, atLeast, unit, value, ...row } of measured) {
        if (!row.databases.includes(database)) continue;
        const subject = (name: string, service: string, processes: Subject["processes"]): Subject => {
          return { name, load: { kind: "icap", url: service, body }, processes };
        };
        const clamd = gateway.processes.filter(({ name }) => name === "clamd");
        const subjects = [
          subject(ours, `${url}/avscan`, gateway.processes),
          subject(theirs, cIcap.url, [{ name: theirs, pid: server }, ...clamd]),
        ];
        // What runs here first is not what runs later: the gateway's code for ICAP is not compiled yet.
        for (const { load } of subjects) await stage.load.run({ load, clients, seconds: 5, most: 2_000 });
        const samples = await measureInTurn(subjects, { ...stage, clients });
        rows.push({
          scenario: this.name,
          what: `ICAP, ${what}, ${clients} connections, ${database}: ${unit === "/s" ? "rate" : unit} over c-icap's`,
          target: { atLeast },
          measured: ratios(samples, ours, theirs, value),
          unit: "×",
          figures: figuresOf(samples, unit, value),
        });
      }
    }
    return rows;
  },
};

/** The clamd door beside the very clamd behind it: what a client of clamd loses and gains by the change of its address. */

import { join } from "node:path";
import type { BodyPlan } from "../load/body.ts";
import { measureInTurn, rate, ratios, type Subject } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { databases, type RunningGateway } from "../stage.ts";

const clients = 16;
const commands = ["instream", "session"] as const;
type Command = (typeof commands)[number];
const kinds = { instream: "a connection per scan", session: "a session per client" } as const satisfies Record<Command, string>;

export const clamdDoor: Scenario = {
  name: "clamd-door",
  async run(stage) {
    const directory = await stage.directory("clamd-door");
    const door = join(directory, "door.sock");
    const rows: Row[] = [];
    const turns = async (gateway: RunningGateway, command: Command, body: BodyPlan) => {
      const subject = (name: string, socketPath: string): Subject => {
        return { name, load: { kind: "clamd", command, socketPath, directory, body }, processes: gateway.processes };
      };
      const subjects = [subject(nameOf("door", command), door), subject(nameOf("clamd", command), gateway.socketPath)];
      // The gateway's code for this way in is not compiled yet.
      for (const { load } of subjects) await stage.load.run({ load, clients, seconds: 5, most: 2_000 });
      return await measureInTurn(subjects, { ...stage, clients });
    };
    for (const database of databases) {
      const gateway = await stage.gateway(database, { CLAMD_LISTEN: door });
      for (const command of commands) {
        for (const isUnique of database === "tiny" ? [true] : [true, false]) {
          const body = { kind: "random", bytes: 1024, isUnique } as const;
          const samples = await turns(gateway, command, body);
          const atLeast = isUnique ? { tiny: 0.7, "S-real": 0.95 }[database] : 10;
          rows.push({
            scenario: this.name,
            what: `clamd door, ${isUnique ? "unique" : "repeated"} 1 KiB, ${clients} clients, ${kinds[command]}, ${database}: rate over clamd's`,
            target: command === "instream" || !isUnique ? { atLeast } : null,
            measured: ratios(samples, nameOf("door", command), nameOf("clamd", command), rate),
            unit: "×",
            figures: figuresOf(samples, "/s", rate),
          });
        }
      }
    }
    return rows;
  },
};

function nameOf(what: "door" | "clamd", command: Command): string {
  return `${what === "door" ? "the door" : "clamd itself"}, ${kinds[command]}`;
}

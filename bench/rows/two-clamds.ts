/** What a second clamd is worth, on a machine that has no cores for it: scripted ones that only take time. */

import { spreadOf } from "../load/statistics.ts";
import { warmUp } from "../load/warm-up.ts";
import { measureInTurn, rate, ratios, type Subject } from "../measure.ts";
import { figuresOf } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { startGateway } from "../subjects/gateway.ts";
import { startNodeServer } from "../subjects/node-server.ts";
import { uploads } from "./bare-clients.ts";

const scanMs = 5;
const slots = 1;
const body = { kind: "random", bytes: 1024, isUnique: true } as const;
const oneName = "one clamd";
const twoName = "two clamds";

export const twoClamds: Scenario = {
  name: "two-clamds",
  async run(stage) {
    await stage.clear();
    await using opened = new AsyncDisposableStack();
    const clamd = async () => {
      const server = await startNodeServer("scripted-clamd", await stage.directory("scripted-clamd"), [String(scanMs)]);
      return opened.use(server).url;
    };
    const subject = async (name: string, addresses: readonly string[]): Promise<Subject> => {
      const env = { CLAMD_PORT: addresses.join(","), CLAMD_SLOTS: String(slots) };
      const gateway = opened.use(await startGateway({ directory: await stage.directory("gateway"), env }));
      await warmUp(stage.load, gateway.url);
      return { ...uploads({ url: gateway.url, processes: [{ name: "gateway", pid: gateway.program.pid }] }, body), name };
    };
    const one = await subject(oneName, [await clamd()]);
    const two = await subject(twoName, [await clamd(), await clamd()]);
    const samples = await measureInTurn([two, one], { ...stage, clients: 16 });
    const ideal = { name: "the most that one could", unit: "/s", spread: spreadOf([(slots * 1000) / scanMs]) };
    return [
      {
        scenario: this.name,
        what: `two clamd servers over one, ${scanMs} ms a scan, ${slots} slot each: rate`,
        target: { atLeast: 1.9 },
        measured: ratios(samples, twoName, oneName, rate),
        unit: "×",
        figures: [...figuresOf(samples, "/s", rate), ideal],
      },
    ];
  },
};

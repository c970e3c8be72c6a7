/** What it costs to ask who a client is: repeated uploads, where nothing else is left to do. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeKey } from "../../src/auth/key.ts";
import { warmUp } from "../load/warm-up.ts";
import { measureInTurn, rate, ratios, type Sample, type Subject } from "../measure.ts";
import { figuresOf } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { startGateway } from "../subjects/gateway.ts";
import { startNodeServer } from "../subjects/node-server.ts";

const body = { kind: "random", bytes: 1024, isUnique: false } as const;
const openName = "AUTH=none";
const keysName = "AUTH=keys";

export const access: Scenario = {
  name: "access",
  async run(stage) {
    await stage.clear();
    await using opened = new AsyncDisposableStack();
    const clamd = opened.use(await startNodeServer("scripted-clamd", await stage.directory("scripted-clamd"), ["1"])).url;
    const { id, key, sha256 } = makeKey();
    const file = join(await stage.directory("keys"), "keys.json");
    await writeFile(file, JSON.stringify({ keys: [{ id, name: "bench", sha256: sha256.toString("hex"), scopes: ["scan"] }] }));
    const subject = async (name: string, env: Readonly<Record<string, string>>): Promise<Subject> => {
      const directory = await stage.directory("gateway");
      const gateway = opened.use(await startGateway({ directory, env: { CLAMD_PORT: clamd, ...env } }));
      // Sent to both, so that both have the same bytes to read.
      await warmUp(stage.load, gateway.url, key);
      const processes = [{ name: "gateway", pid: gateway.program.pid }];
      return { name, load: { kind: "upload", url: `${gateway.url}/v2/scan`, body, key }, processes };
    };
    const open = await subject(openName, {});
    const keys = await subject(keysName, { AUTH: "keys", API_KEYS_FILE: file });
    const samples = await measureInTurn([keys, open], { ...stage, clients: 16 });
    const perSecondOfProcessor = ({ count, seconds, cores }: Sample) => count / seconds / (cores.gateway ?? Number.NaN);
    const row = (what: string, value: (sample: Sample) => number) => ({
      scenario: this.name,
      what: `repeated 1 KiB, 16 clients, a key over none: ${what}`,
      target: { atLeast: 0.93 },
      measured: ratios(samples, keysName, openName, value),
      unit: "×" as const,
      figures: figuresOf(samples, "/s", rate),
    });
    return [row("rate", rate), row("requests a second of processor", perSecondOfProcessor)];
  },
};

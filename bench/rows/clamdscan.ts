/** ClamAV's own client: what scripts without a gateway use. */

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeBodies } from "../load/body.ts";
import { spreadOf } from "../load/statistics.ts";
import { measureInTurn, megabytes, spreadBy } from "../measure.ts";
import type { Scenario } from "../scenario.ts";
import { isInstalled } from "../subjects/is-installed.ts";
import { gatewayName, uploads } from "./bare-clients.ts";

const files = 8;
const body = { kind: "random", bytes: 20_000_000, isUnique: true } as const;

export const clamdscan: Scenario = {
  name: "clamdscan",
  missing: () => (isInstalled("clamdscan") ? null : "clamdscan is not installed"),
  async run(stage) {
    const gateway = await stage.gateway("tiny");
    const directory = await stage.directory("clamdscan");
    const confPath = join(directory, "clamd.conf");
    // Without a limit of its own clamdscan stops at 100 MB.
    await writeFile(confPath, `LocalSocket ${gateway.socketPath}\nStreamMaxLength 25M\n`);
    const bodies = makeBodies(body, "clamdscn");
    const paths = Array.from({ length: files }, (_, index) => join(directory, `${index}.bin`));
    for (const path of paths) await writeFile(path, bodies.next());
    const theirs: number[] = [];
    const ours: number[] = [];
    for (let round = 0; round < stage.rounds; round += 1) {
      const startedAt = performance.now();
      await promisify(execFile)("clamdscan", ["--stream", "--no-summary", `--config-file=${confPath}`, ...paths]);
      theirs.push((files * body.bytes) / 1e3 / (performance.now() - startedAt));
      const samples = await measureInTurn([uploads(gateway, body)], { ...stage, clients: 1, rounds: 1 });
      ours.push(spreadBy(samples, gatewayName, megabytes).median);
    }
    return [
      {
        scenario: this.name,
        what: `unique 20 MB, 1 client, tiny: MB/s over clamdscan --stream of ${files} files`,
        target: null,
        measured: spreadOf(ours.map((rate, round) => rate / (theirs[round] ?? Number.NaN))),
        unit: "×",
        figures: [
          { name: gatewayName, unit: "MB/s", spread: spreadOf(ours) },
          { name: "clamdscan --stream", unit: "MB/s", spread: spreadOf(theirs) },
        ],
      },
    ];
  },
};

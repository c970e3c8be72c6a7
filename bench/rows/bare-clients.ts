/** The bare clamd clients as subjects, on the very clamd that the gateway supervises. */

import { mkdir } from "node:fs/promises";
import type { BodyPlan } from "../load/body.ts";
import type { ClamdCommand } from "../load/load.ts";
import type { Subject } from "../measure.ts";
import type { RunningGateway, Stage } from "../stage.ts";

export const gatewayName = "clamgate /v2/scan";

export const bareNames = {
  instream: "bare INSTREAM",
  session: "bare IDSESSION",
  "write-and-scan": "bare write + SCAN",
  scan: "bare SCAN, file already there",
} as const satisfies Record<ClamdCommand, string>;

export async function bareClients(
  stage: Stage,
  { socketPath, processes }: RunningGateway,
  body: BodyPlan,
  commands: readonly ClamdCommand[],
): Promise<readonly Subject[]> {
  const directory = await stage.directory("scan");
  await mkdir(directory, { recursive: true });
  return commands.map((command) => ({
    name: bareNames[command],
    load: { kind: "clamd", command, socketPath, directory, body },
    processes,
  }));
}

export function uploads({ url, processes }: Pick<RunningGateway, "url" | "processes">, body: BodyPlan): Subject {
  return { name: gatewayName, load: { kind: "upload", url: `${url}/v2/scan`, body }, processes };
}

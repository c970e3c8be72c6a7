/** The gateway beside servers that do only the necessary, on the same clamd: what its promises cost. */

import { measureInTurn, rate, ratios, type Samples, type Subject } from "../measure.ts";
import { figuresOf, type Row, type Target } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { hasDownloadProxy, type RunningGateway, type Stage } from "../stage.ts";
import { type NodeServer, startNodeServer } from "../subjects/node-server.ts";
import { fromLoopback } from "./downloads.ts";

const clients = 16;
const gatewayName = "clamgate";
const floorName = "floor server";
const uploadName = "clamgate /v2/scan";

export const floor: Scenario = {
  name: "floor",
  async run(stage) {
    const rows: Row[] = [];
    await using origin = await startNodeServer("unique-origin", await stage.directory("unique-origin"));
    const gateway = await stage.gateway("tiny", hasDownloadProxy() ? fromLoopback([origin.url]) : {});
    await using server = await startNodeServer("floor-server", await stage.directory("floor-server"), [gateway.socketPath]);
    for (const path of ["/v2/scan", "/scanHandlerBody"] as const) {
      for (const isUnique of [true, false]) {
        const samples = await uploadsInTurn(stage, gateway, server, path, isUnique);
        const target = path === "/v2/scan" ? { atLeast: isUnique ? 0.8 : 0.6 } : null;
        rows.push(
          row(samples, `${isUnique ? "new" : "repeated"} 1 KiB to ${path}: rate over the floor server`, target, floorName),
        );
      }
    }
    if (gateway.proxyUrl !== null) rows.push(...(await downloadsInTurn(stage, gateway, gateway.proxyUrl, origin.url)));
    return rows;
  },
};

async function uploadsInTurn(
  stage: Stage,
  gateway: RunningGateway,
  server: NodeServer,
  path: "/v2/scan" | "/scanHandlerBody",
  isUnique: boolean,
): Promise<Samples> {
  const isRaw = path === "/scanHandlerBody";
  const load = (url: string) => {
    const body = { kind: "random", bytes: 1024, isUnique } as const;
    return { kind: "upload", url: `${url}${path}`, body, isRaw } as const;
  };
  const clamd = gateway.processes.filter(({ name }) => name === "clamd");
  const subjects: readonly Subject[] = [
    { name: gatewayName, load: load(gateway.url), processes: gateway.processes },
    { name: floorName, load: load(server.url), processes: [{ name: "floor server", pid: server.program.pid }, ...clamd] },
  ];
  // Their code is compiled, and a repeated body scanned, before the first turn.
  for (const { load } of subjects) await stage.load.run({ load, clients, seconds: 3, most: 5_000 });
  return measureInTurn(subjects, { ...stage, clients });
}

async function downloadsInTurn(
  stage: Stage,
  gateway: RunningGateway,
  proxyUrl: string,
  originUrl: string,
): Promise<readonly Row[]> {
  await using proxy = await startNodeServer("stream-proxy", await stage.directory("stream-proxy"), [originUrl]);
  const passing = "minimal streaming proxy";
  const download = (url: string, headers: Readonly<Record<string, string>>) =>
    ({ kind: "download", url: `${url}/file.bin`, headers, isUnique: true, bytes: 1024 }) as const;
  const subjects: readonly Subject[] = [
    { name: gatewayName, load: download(proxyUrl, { "download-from": `${originUrl}/` }), processes: gateway.processes },
    { name: passing, load: download(proxy.url, {}), processes: [{ name: "proxy", pid: proxy.program.pid }] },
    {
      name: uploadName,
      load: { kind: "upload", url: `${gateway.url}/v2/scan`, body: { kind: "random", bytes: 1024, isUnique: true } },
      processes: gateway.processes,
    },
  ];
  for (const { load } of subjects) await stage.load.run({ load, clients, seconds: 3, most: 5_000 });
  const samples = await measureInTurn(subjects, { ...stage, clients });
  return [
    row(samples, "download proxy, new 1 KiB: rate over a minimal streaming proxy", null, passing),
    row(samples, "download proxy, new 1 KiB: rate over /v2/scan", { atLeast: 0.9 }, uploadName),
  ];
}

function row(samples: Samples, what: string, target: Target | null, under: string): Row {
  return {
    scenario: floor.name,
    what: `${what}, ${clients} clients, tiny`,
    target,
    measured: ratios(samples, gatewayName, under, rate),
    unit: "×",
    figures: figuresOf(samples, "/s", rate),
  };
}

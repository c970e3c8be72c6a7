/** The download proxy beside nginx's proxy_pass, and beside clamd where content is new. */

import { makeBodies } from "../load/body.ts";
import { differences, measureInTurn, megabytes, rate, ratios, type Subject } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { hasDownloadProxy, type RunningGateway, type Stage } from "../stage.ts";
import { isInstalled } from "../subjects/is-installed.ts";
import { type Nginx, startNginx } from "../subjects/nginx.ts";
import { startNodeServer } from "../subjects/node-server.ts";
import { bareClients, bareNames } from "./bare-clients.ts";

const proxyName = "clamgate download proxy";
const nginxName = "nginx proxy_pass";
const small = { kind: "random", bytes: 1024, isUnique: true } as const;
const large = { kind: "random", bytes: 20_000_000, isUnique: true } as const;

export const downloads: Scenario = {
  name: "downloads",
  missing() {
    if (!hasDownloadProxy()) return "this version of the gateway has no download proxy";
    return isInstalled("nginx") ? null : "nginx is not installed";
  },
  async run(stage) {
    const file = (body: typeof small | typeof large) => Buffer.concat(makeBodies(body, "download").next());
    const files = { "small.bin": file(small), "large.bin": file(large) };
    await using nginx = await startNginx(await stage.directory("nginx"), files);
    await using origin = await startNodeServer("unique-origin", await stage.directory("unique-origin"));
    const settings = fromLoopback([nginx.originUrl, origin.url]);
    const strict = await stage.gateway("tiny", { ...settings, DOWNLOAD_MODE: "strict" });
    const rows = [...(await cachedSmall(stage, strict, nginx)), ...(await uncachedSmall(stage, strict, origin.url))];
    const streaming = await stage.gateway("tiny", { ...settings, DOWNLOAD_MODE: "verified-stream" });
    return [...rows, ...(await cachedLarge(stage, streaming, nginx))];
  },
};

async function cachedSmall(stage: Stage, gateway: RunningGateway, nginx: Nginx): Promise<readonly Row[]> {
  await prime(stage, gateway, nginx, "small.bin", small.bytes);
  const samples = await measureInTurn(pair(gateway, nginx, "small.bin", small.bytes), { ...stage, clients: 16 });
  return [
    {
      scenario: downloads.name,
      what: "download proxy, cached 1 KiB, strict, 16 clients: rate over nginx's proxy_pass",
      target: { atLeast: 0.5 },
      measured: ratios(samples, proxyName, nginxName, rate),
      unit: "×",
      figures: figuresOf(samples, "/s", rate),
    },
  ];
}

async function uncachedSmall(stage: Stage, gateway: RunningGateway, originUrl: string): Promise<readonly Row[]> {
  const subject = through(gateway, originUrl, "file.bin", small.bytes, true);
  const bare = await bareClients(stage, gateway, small, ["instream", "session"]);
  const samples = await measureInTurn([subject, ...bare], { ...stage, clients: 16 });
  return [
    {
      scenario: downloads.name,
      what: "download proxy, uncached 1 KiB, tiny, 16 clients: rate over bare INSTREAM",
      target: { atLeast: 0.9 },
      measured: ratios(samples, proxyName, bareNames.instream, rate),
      unit: "×",
      figures: figuresOf(samples, "/s", rate),
    },
  ];
}

async function cachedLarge(stage: Stage, gateway: RunningGateway, nginx: Nginx): Promise<readonly Row[]> {
  await prime(stage, gateway, nginx, "large.bin", large.bytes);
  const samples = await measureInTurn(pair(gateway, nginx, "large.bin", large.bytes), { ...stage, clients: 4 });
  const firstByte = ({ firstByte }: { readonly firstByte: { readonly p50: number } }) => firstByte.p50;
  const what = "download proxy, cached 20 MB, verified-stream, 4 clients";
  return [
    {
      scenario: downloads.name,
      what: `${what}: MB/s over nginx's proxy_pass`,
      target: { atLeast: 0.8 },
      measured: ratios(samples, proxyName, nginxName, megabytes),
      unit: "×",
      figures: figuresOf(samples, "MB/s", megabytes),
    },
    {
      scenario: downloads.name,
      what: `${what}: first byte after nginx's (p50)`,
      target: { atMost: 20 },
      measured: differences(samples, proxyName, nginxName, firstByte),
      unit: "ms",
      figures: figuresOf(samples, "ms", firstByte),
    },
  ];
}

/** Settings that let downloads come from these origins of the benchmark's own. */
export function fromLoopback(origins: readonly string[]): Readonly<Record<string, string>> {
  return { DOWNLOAD_PROXY_PORT: "0", DOWNLOAD_ORIGINS: origins.join(","), DOWNLOAD_ALLOW_PRIVATE: "127.0.0.0/8:*" };
}

function pair(gateway: RunningGateway, nginx: Nginx, file: string, bytes: number): readonly Subject[] {
  const processes = nginx.programs.map(({ name, pid }) => ({ name, pid }));
  return [
    through(gateway, nginx.originUrl, file, bytes, false),
    {
      name: nginxName,
      load: { kind: "download", url: `${nginx.proxyUrl}/${file}`, headers: {}, isUnique: false, bytes },
      processes,
    },
  ];
}

/** The first is scanned, and the code is compiled: that must be over before the first turn. */
async function prime({ load }: Stage, gateway: RunningGateway, nginx: Nginx, file: string, bytes: number): Promise<void> {
  const [subject] = pair(gateway, nginx, file, bytes);
  if (subject !== undefined) await load.run({ load: subject.load, clients: 1, seconds: 3, most: 1_000 });
}

function through(gateway: RunningGateway, originUrl: string, file: string, bytes: number, isUnique: boolean): Subject {
  if (gateway.proxyUrl === null) throw new Error("the gateway has not said where its download proxy listens");
  const headers = { "download-from": `${originUrl}/`, "cache-scan": isUnique ? "False" : "True" };
  const load = { kind: "download", url: `${gateway.proxyUrl}/${file}`, headers, isUnique, bytes } as const;
  return { name: proxyName, load, processes: gateway.processes };
}

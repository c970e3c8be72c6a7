/**
 * How the download proxy compares, each pair measured in turn in one run: new small files beside the same bodies through /v2/scan,
 * and a remembered 20 MB file in verified-stream beside nginx's proxy_pass. `node test/load/proxy-rates.ts --rounds 5 --seconds 3`
 * `--heavy 1`: with signatures that weigh as much as real ones, in the place of the built-in ones. `--profile 1`: writes .cpuprofile files here.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { syntheticDatabase } from "../../bench/database/synthetic-database.ts";
import { makeBodies } from "../../bench/load/body.ts";
import { type LoadProcess, startLoadProcess } from "../../bench/load/load-process.ts";
import { measureInTurn, megabytes, rate, ratios, type Sample, type Subject, spreadBy } from "../../bench/measure.ts";
import { startNginx } from "../../bench/subjects/nginx.ts";
import { startNodeServer } from "../../bench/subjects/node-server.ts";
import { type GatewayProcess, startGatewayProcess } from "../e2e/gateway-process.ts";
import { numbersFrom } from "./arguments.ts";
import { table } from "./table.ts";

const { rounds, seconds, clients, heavy, profile } = numbersFrom({ rounds: 5, seconds: 3, clients: 16, heavy: 0, profile: 0 });
const small = { kind: "random", bytes: 1024, isUnique: true } as const;
const large = { kind: "random", bytes: 20_000_000, isUnique: true } as const;

const gatewayName = "gateway";

const directory = await mkdtemp(join(tmpdir(), "clamgate-rates-"));
try {
  await using load = await startLoadProcess();
  const rows = [process.env.LARGE ? await largeFile(load) : await smallFiles(load)];
  const heads = ["what", "proxy", "beside", "proxy / beside", "wanted", "gateway's CPU ms each"];
  console.log(table(heads, rows));
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function smallFiles(load: LoadProcess): Promise<readonly string[]> {
  await using origin = await startNodeServer("unique-origin", directory);
  await using gateway = await startGateway("strict");
  const proxied = download(gateway, `${origin.url}/`, "file.bin", small.bytes, true);
  const posted: Subject = {
    name: "/v2/scan",
    load: { kind: "upload", url: `${gateway.url}/v2/scan`, body: small },
    processes: [{ name: gatewayName, pid: gateway.pid }],
  };
  return await compare("new 1 KiB files a second, beside /v2/scan", [proxied, posted], load, {
    clients,
    value: rate,
    wanted: 0.9,
  });
}

async function largeFile(load: LoadProcess): Promise<readonly string[]> {
  const file = Buffer.concat(makeBodies(large, "download").next());
  await using nginx = await startNginx(directory, { "large.bin": file });
  await using gateway = await startGateway("verified-stream");
  const proxied = download(gateway, `${nginx.originUrl}/`, "large.bin", large.bytes, false);
  const passed: Subject = {
    name: "nginx",
    load: { kind: "download", url: `${nginx.proxyUrl}/large.bin`, headers: {}, isUnique: false, bytes: large.bytes },
    processes: [],
  };
  const what = "MB/s of a remembered 20 MB file, beside proxy_pass";
  return await compare(what, [proxied, passed], load, { clients: 4, value: megabytes, wanted: 0.7 });
}

async function startGateway(mode: string): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess({
    env: {
      DOWNLOAD_MODE: mode,
      ...(heavy > 0 ? { DATABASE_DIRECTORY: await syntheticDatabase(console.error) } : {}),
      DOWNLOAD_ALLOW_PRIVATE: "127.0.0.1:*",
      ...(profile > 0 ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${process.cwd()}` } : {}),
    },
  });
  await gateway.ready();
  return gateway;
}

function download({ proxyUrl, pid }: GatewayProcess, from: string, file: string, bytes: number, isUnique: boolean): Subject {
  const headers = { "download-from": from, "cache-scan": isUnique ? "False" : "True" };
  const load = { kind: "download", url: `${proxyUrl}/${file}`, headers, isUnique, bytes } as const;
  return { name: "proxy", load, processes: [{ name: gatewayName, pid }] };
}

interface Comparison {
  readonly clients: number;
  readonly value: (sample: Sample) => number;
  readonly wanted: number;
}

/** The first beside the second. The first round warms up and does not count. */
async function compare(
  what: string,
  [one, other]: readonly [Subject, Subject],
  load: LoadProcess,
  { clients, value, wanted }: Comparison,
): Promise<readonly string[]> {
  await measureInTurn([one, other], { load, clients, rounds: 1, seconds });
  const samples = await measureInTurn([one, other], { load, clients, rounds, seconds });
  const { min, median, max } = ratios(samples, one.name, other.name, value);
  const cpuMs = ({ cores, count, seconds: took }: Sample) => (1000 * (cores[gatewayName] ?? 0) * took) / count;
  const cost = [one, other].map(({ name }) => spreadBy(samples, name, cpuMs).median.toFixed(2)).join(" and ");
  const middle = ({ name }: Subject) => spreadBy(samples, name, value).median.toFixed(0);
  return [what, middle(one), middle(other), `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`, `≥ ${wanted}`, cost];
}

/** L2: the same bodies through the gateway and through ClamAV's own client, in turn, on the clamd that the gateway supervises. */

import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { syntheticDatabase } from "../../../bench/database/synthetic-database.ts";
import { makeBodies } from "../../../bench/load/body.ts";
import { spreadOf } from "../../../bench/load/statistics.ts";
import { isInstalled } from "../../../bench/subjects/is-installed.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft, type WarmGateway } from "../load-stage.ts";

const body = { kind: "random", bytes: 4096, isUnique: true } as const;
const connections = 64;
/** clamd's, and so many clients of it. */
const threads = 2;
const rounds = 5;

export async function besideClamdscan(stage: LoadStage, findings: Findings): Promise<void> {
  stage.say("loading signatures that weigh as much as real ones");
  const gateway = await stage.gateway({
    DATABASE_DIRECTORY: await syntheticDatabase(stage.say),
    MAX_THREADS: String(threads),
  });
  const what = "4 KiB unique, S-real, DisableCache: rate over";
  const seconds = stage.seconds / rounds;
  const ours = () => uploads(stage, gateway, seconds);
  const rate = await ours();
  const count = Math.max(threads, Math.round(rate * seconds));
  const rival = isInstalled("clamdscan")
    ? { name: `clamdscan --stream × ${threads}`, measure: await clamdscan(stage, gateway, count) }
    : { name: "a bare INSTREAM client (clamdscan is not installed)", measure: await bareInstream(stage, gateway, seconds) };
  const samples: { ours: number; theirs: number }[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    stage.say(`round ${round} of ${rounds}, in turn with ${rival.name}`);
    samples.push({ theirs: await rival.measure(), ours: await ours() });
  }
  const ratio = spreadOf(samples.map(({ ours, theirs }) => ours / theirs));
  const middle = (read: (sample: (typeof samples)[number]) => number) => spreadOf(samples.map(read)).median.toFixed(0);
  const figures = `${middle(({ ours }) => ours)}/s and ${middle(({ theirs }) => theirs)}/s`;
  const text = `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)}): ${figures}`;
  findings.goal(`${what} ${rival.name}`, "≥ 0.90", text, ratio.median >= 0.9);
  await nothingLeft(findings, gateway);
}

/** Rejects where a body has no clean verdict. */
async function uploads({ load }: LoadStage, { url }: WarmGateway, seconds: number): Promise<number> {
  const result = await load.run({
    load: { kind: "upload", url: `${url}/v2/scan`, body },
    clients: connections,
    seconds,
    most: null,
  });
  return result.count / result.seconds;
}

async function bareInstream({ load, directory }: LoadStage, gateway: WarmGateway, seconds: number) {
  const socketPath = await gateway.clamdSocket();
  return async () => {
    const order = { kind: "clamd", command: "instream", socketPath, directory, body } as const;
    const result = await load.run({ load: order, clients: 16, seconds, most: null });
    return result.count / result.seconds;
  };
}

/** As many at once as clamd has threads, each with its share of the files; its time to start counts in its disfavour, so there are many files. */
async function clamdscan({ directory }: LoadStage, gateway: WarmGateway, count: number) {
  const files = join(directory, "files");
  await mkdir(files);
  const confPath = join(directory, "clamdscan.conf");
  await writeFile(confPath, `LocalSocket ${await gateway.clamdSocket()}\nStreamMaxLength 25M\n`);
  const bodies = makeBodies(body, "clamdscn");
  const lists = Array.from({ length: threads }, (_, index) => ({
    path: join(directory, `list-${index}`),
    names: [] as string[],
  }));
  for (let index = 0; index < count; index += 1) {
    const name = join(files, `${index}.bin`);
    await writeFile(name, bodies.next());
    lists[index % threads]?.names.push(name);
  }
  for (const { path, names } of lists) await writeFile(path, `${names.join("\n")}\n`);
  return async () => {
    const startedAt = performance.now();
    const args = ["--stream", "--no-summary", `--config-file=${confPath}`];
    const most = { maxBuffer: 64 * 1024 * 1024 };
    await Promise.all(lists.map(({ path }) => promisify(execFile)("clamdscan", [...args, `--file-list=${path}`], most)));
    return (count / (performance.now() - startedAt)) * 1000;
  };
}

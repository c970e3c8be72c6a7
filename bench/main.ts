/** `npm run bench`: argv → scenarios → one table, on the terminal and in bench/results. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../src/core/errors.ts";
import { describeMachine } from "./machine.ts";
import { asMarkdown, asText, type Report } from "./report.ts";
import type { Row } from "./row.ts";
import { access } from "./rows/access.ts";
import { clamdDoor } from "./rows/clamd-door.ts";
import { clamdscan } from "./rows/clamdscan.ts";
import { commandLine } from "./rows/command-line.ts";
import { containers } from "./rows/containers.ts";
import { contents } from "./rows/contents.ts";
import { database } from "./rows/database.ts";
import { downloads } from "./rows/downloads.ts";
import { floor } from "./rows/floor.ts";
import { icap } from "./rows/icap.ts";
import { latency } from "./rows/latency.ts";
import { loadCost } from "./rows/load-cost.ts";
import { memory } from "./rows/memory.ts";
import { peerProxy, peerRest } from "./rows/peers.ts";
import { repeated } from "./rows/repeated.ts";
import { start } from "./rows/start.ts";
import { twoClamds } from "./rows/two-clamds.ts";
import { uniqueLarge } from "./rows/unique-large.ts";
import { uniqueSmall } from "./rows/unique-small.ts";
import { walk } from "./rows/walk.ts";
import type { Scenario } from "./scenario.ts";
import { openStage } from "./stage.ts";

const scenarios: readonly Scenario[] = [
  uniqueSmall,
  uniqueLarge,
  latency,
  repeated,
  access,
  floor,
  walk,
  downloads,
  memory,
  twoClamds,
  start,
  contents,
  containers,
  clamdscan,
  commandLine,
  clamdDoor,
  icap,
  peerRest,
  peerProxy,
  loadCost,
  database,
];

const help = `npm run bench -- [options]

  --only NAME      this scenario alone; may be given again
  --quick          2 rounds of 1 s: shows that it works, decides nothing
  --seconds N      of each turn (2)
  --rounds N       turns of each subject (5)
  --profile DIR    writes the gateways' CPU profiles there; a profiled gateway is slower
  --results DIR    where the report goes (bench/results)

Scenarios: ${scenarios.map(({ name }) => name).join(", ")}
BENCH_PEER_REST and BENCH_PEER_PROXY name services to measure in turn with ours.
`;

/** On a slow or busy machine the last scenarios are left out: what has been measured is there in time. */
const latestStartMinutes = 18;

// The programs that run beside us are ended with us.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true },
      quick: { type: "boolean", default: false },
      seconds: { type: "string" },
      rounds: { type: "string" },
      profile: { type: "string" },
      results: { type: "string", default: new URL("./results", import.meta.url).pathname },
      help: { type: "boolean", default: false },
    },
  });
  const wanted = values.only ?? scenarios.map(({ name }) => name);
  const unknown = wanted.filter((name) => !scenarios.some((scenario) => scenario.name === name));
  if (values.help || unknown.length > 0) {
    process.stdout.write(unknown.length > 0 ? `There is no scenario ${unknown.join(", ")}.\n\n${help}` : help);
    return unknown.length > 0 ? 2 : 0;
  }
  const report = await runAll(
    scenarios.filter(({ name }) => wanted.includes(name)),
    {
      rounds: Number(values.rounds ?? (values.quick ? 2 : 5)),
      seconds: Number(values.seconds ?? (values.quick ? 1 : 2)),
      isQuick: values.quick,
      profileDirectory: values.profile ?? null,
    },
  );
  process.stdout.write(`\n${asText(report)}`);
  await mkdir(values.results, { recursive: true });
  const path = join(values.results, report.date.slice(0, 10));
  await writeFile(`${path}.md`, asMarkdown(report));
  await writeFile(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(`\nwritten to ${path}.md and .json\n`);
  return 0;
}

interface RunOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly isQuick: boolean;
  readonly profileDirectory: string | null;
}

async function runAll(wanted: readonly Scenario[], options: RunOptions): Promise<Report> {
  const machine = await describeMachine();
  const date = new Date().toISOString();
  const startedAt = performance.now();
  const minutes = () => (performance.now() - startedAt) / 60_000;
  const say = (line: string) => void process.stdout.write(`${minutes().toFixed(1).padStart(5)} min  ${line}\n`);
  const rows: Row[] = [];
  const left: { scenario: string; reason: string }[] = [];
  await using stage = await openStage({ ...options, say });
  for (const scenario of wanted) {
    const missing = scenario.missing?.() ?? null;
    if (missing !== null) {
      left.push({ scenario: scenario.name, reason: missing });
      continue;
    }
    if (minutes() > latestStartMinutes) {
      left.push({ scenario: scenario.name, reason: `${latestStartMinutes} minutes were over before its turn` });
      continue;
    }
    say(scenario.name);
    try {
      rows.push(...(await scenario.run(stage)));
    } catch (error) {
      // The others are worth their while all the same; the table says what is missing.
      const reason = messageOf(error);
      left.push({ scenario: scenario.name, reason: `${reason}; the gateway's last lines: ${await stage.lastWords()}` });
    }
  }
  const { rounds, seconds, isQuick } = options;
  return { date, machine, rounds, seconds, isQuick, minutes: minutes(), rows, left };
}

/** `npm run load`: the loads L1-L10, each with what it must show beside what it has shown. */

import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { Findings, type Line, type LoadName, lineTable, loadNames } from "./criterion.ts";
import { type LoadStage, openLoadStage } from "./load-stage.ts";
import { besideClamdscan } from "./loads/beside-clamdscan.ts";
import { cacheHits } from "./loads/cache-hits.ts";
import { floods } from "./loads/floods.ts";
import { icapConnections } from "./loads/icap-connections.ts";
import { largeBodies } from "./loads/large-bodies.ts";
import { manyConnections } from "./loads/many-connections.ts";
import { oneClient } from "./loads/one-client.ts";
import { overload } from "./loads/overload.ts";
import { proxyStreams } from "./loads/proxy-streams.ts";
import { smallBodies } from "./loads/small-bodies.ts";

interface Load {
  readonly what: string;
  readonly run: (stage: LoadStage, findings: Findings) => Promise<void>;
  /** Descriptors that one process needs. */
  readonly descriptors?: number;
}

const loads: Readonly<Record<LoadName, Load>> = {
  L1: { what: "small bodies that nobody has seen", run: smallBodies },
  L2: { what: "the same beside clamdscan, heavy signatures", run: besideClamdscan },
  L3: { what: "cache hits, in memory and in Redis", run: cacheHits },
  L4: { what: "one body of 1 GiB, 32 of 100 MiB at once", run: largeBodies },
  L5: { what: "10 000 connections, 100 of them active", run: manyConnections, descriptors: 10_400 },
  L6: { what: "five times more than can be served", run: overload },
  L7: { what: "200 downloads of 10 MiB at once, some infected", run: proxyStreams },
  L8: { what: "one client with 1,200 connections beside ten others", run: oneClient },
  L9: { what: "floods on one connection and on 15, and what others pay", run: floods },
  L10: { what: "1,200 ICAP connections that do next to nothing, 32 ICAP bodies of 100 MiB", run: icapConnections },
};

const help = `npm run load -- [options]

  --only L5,L6     these loads alone
  --seconds N      of each measured part (20)

${loadNames.map((name) => `  ${name}  ${loads[name].what}`).join("\n")}

Rates and ratios depend on the machine: they are told as met or missed. Errors, wrong verdicts, refused clients and
leaks do not: where there is one, it is told as BROKEN and the exit code is 1.
`;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const options = { only: { type: "string" }, seconds: { type: "string" }, help: { type: "boolean" } } as const;
  const { values } = parseArgs({ args: [...args], options });
  const wanted = values.only?.split(",").map((name) => name.trim().toUpperCase()) ?? [...loadNames];
  const unknown = wanted.filter((name) => !loadNames.some((known) => known === name));
  const seconds = Number(values.seconds ?? 20);
  const isSane = Number.isFinite(seconds) && seconds > 0;
  if (values.help || unknown.length > 0 || !isSane) {
    const fault = unknown.length > 0 ? `There is no load ${unknown.join(", ")}.` : "--seconds needs a number above 0.";
    process.stdout.write(values.help ? help : `${fault}\n\n${help}`);
    return values.help ? 0 : 2;
  }
  const startedAt = performance.now();
  const minutes = () => ((performance.now() - startedAt) / 60_000).toFixed(1).padStart(5);
  console.log(`${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}, ${seconds} s for each measured part`);
  const lines: Line[] = [];
  for (const name of loadNames.filter((known) => wanted.includes(known))) {
    const say = (line: string) => console.log(`${minutes()} min  ${name}  ${line}`);
    say(loads[name].what);
    const found = await run(name, { seconds, say });
    for (const { outcome, what, wanted, measured } of found) say(`${outcome}: ${what}: ${measured} (${wanted})`);
    lines.push(...found);
  }
  console.log(`\n${lineTable(lines)}`);
  const broken = lines.filter(({ outcome }) => outcome === "BROKEN").length;
  const missed = lines.filter(({ outcome }) => outcome === "missed").length;
  console.log(`\n${minutes().trim()} minutes; invariants broken: ${broken}; goals missed: ${missed}`);
  return broken > 0 ? 1 : 0;
}

async function run(name: LoadName, options: { seconds: number; say: (line: string) => void }): Promise<readonly Line[]> {
  const findings = new Findings(name);
  const { run, what, descriptors = 0 } = loads[name];
  const allowed = await mostDescriptors();
  if (allowed < descriptors) {
    const way = `raise the hard limit, as with prlimit --nofile=${descriptors}`;
    findings.missing(what, `one process may have ${allowed} descriptors here, ${descriptors} are needed: ${way}`);
    return findings.lines;
  }
  try {
    await using stage = await openLoadStage(options);
    await run(stage, findings);
  } catch (error) {
    // The others are worth their while all the same.
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    options.say(reason);
    findings.invariant(what, "runs to its end", reason.split("\n")[0] ?? "", false);
  }
  return findings.lines;
}

/** Node raises its own limit to the hard one; its children inherit that. */
async function mostDescriptors(): Promise<number> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => ""); // no Linux: the system will tell
  const hard = /Max open files\s+\S+\s+(\S+)/.exec(limits)?.[1];
  return hard === undefined || hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
}

/** L5: thousands of connections that do nothing or next to nothing, and what they cost those who work. */

import { assertNothingLeft } from "../../fault/harness/invariants.ts";
import type { Arrivals } from "../clients/arrivals.ts";
import type { CrowdPlan, CrowdState } from "../clients/crowd.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft, type WarmGateway } from "../load-stage.ts";
import { mebibytes, quantile } from "../table.ts";
import { type Peaks, peaksDuring } from "../watch.ts";

export interface ManyConnectionsPlan {
  readonly crowd: Omit<CrowdPlan, "port">;
  /** Of the active clients together; each has a connection of its own. */
  readonly perSecond: number;
  readonly active: number;
}

export interface ManyConnections {
  readonly gateway: WarmGateway;
  /** Alone, before the crowd came and after it had gone. */
  readonly alone: readonly [Arrivals, Arrivals];
  readonly beside: Arrivals;
  readonly peaks: Peaks;
  readonly gathered: CrowdState;
  readonly last: CrowdState;
}

/** What an upload may be silent for, and the window over which its rate is judged. */
const idleSeconds = 15;
/** A head that does not end. */
const headSeconds = 10;
const graceSeconds = 3;

export async function besideACrowd(stage: LoadStage, plan: ManyConnectionsPlan): Promise<ManyConnections> {
  const clamd = await stage.scriptedClamd({ slots: 16, scanMs: 1 });
  const gateway = await stage.gateway({
    ...clamd,
    CLIENT_HEAD_TIMEOUT: `${headSeconds}s`,
    CLIENT_IDLE_TIMEOUT: `${idleSeconds}s`,
    CLIENT_MIN_RATE: "1K",
  });
  const clients = await stage.clients();
  const crowd = await stage.clients();
  const work = () => {
    const { perSecond, active: connections } = plan;
    const phases = [{ perSecond, seconds: stage.seconds }];
    const order = { url: gateway.url, phases, connections, bytes: 4096, infectedEvery: 20 };
    return clients.run("arrivals", order);
  };
  stage.say(`${plan.active} active clients alone`);
  const first = await work();
  stage.say("the crowd comes");
  const gathered = await crowd.run("gather", { ...plan.crowd, port: gateway.port });
  stage.say(`${plan.active} active clients beside ${gathered.open} others`);
  const { peaks, result: beside } = await peaksDuring(gateway, work());
  const last = await crowd.run("disperse", null);
  stage.say(`${plan.active} active clients alone again`);
  // What the end of so many connections costs is over by then.
  await assertNothingLeft(gateway, { ...gateway, withinMs: 30_000 });
  const second = await work();
  await crowd[Symbol.asyncDispose]();
  await clients[Symbol.asyncDispose]();
  return { gateway, alone: [first, second], beside, peaks, gathered, last };
}

export function p99Of({ answers }: Arrivals): number {
  return quantile(
    answers.map(({ ms }) => ms),
    0.99,
  );
}

const active = 100;
const perSecond = 200;
const arriving = 1000;
const crowds = [
  { name: "9900 idle", idle: 9900, heads: 0, bodies: 0 },
  // Whatever is cut comes back at once: some 300 connections a second.
  { name: "4900 idle, 5000 at 1 B/s", idle: 4900, heads: 1000, bodies: 4000 },
];

export async function manyConnections(stage: LoadStage, findings: Findings): Promise<void> {
  for (const { name, ...kinds } of crowds) {
    const result = await besideACrowd(stage, { crowd: { ...kinds, perSecond: arriving }, perSecond, active });
    tell(findings, name, result);
    if (kinds.heads > 0) tellOfCuts(findings, name, result);
    await nothingLeft(findings, result.gateway);
    await result.gateway[Symbol.asyncDispose]();
  }
}

function tell(findings: Findings, name: string, { alone, beside, peaks, gathered, last }: ManyConnections): void {
  const total = gathered.open + active;
  findings.invariant(`${name}, 100 active: connections at once`, "10000", String(total), total >= 10_000);
  findings.none(`${name}: connections that could not be opened`, last.refused);
  const [before, after] = alone.map(p99Of);
  const usual = ((before ?? 0) + (after ?? 0)) / 2;
  const p99 = p99Of(beside);
  findings.goal(
    `${name}: p99 of the active, ${perSecond} requests/s`,
    "≤ 2 × alone",
    `${(p99 / usual).toFixed(2)} ×: ${p99.toFixed(1)} ms; alone ${before?.toFixed(1)} before, ${after?.toFixed(1)} after`,
    p99 <= 2 * usual,
  );
  const refused = beside.answers.filter(({ isServed }) => !isServed).length;
  findings.invariant(`${name}: active requests refused, of ${beside.answers.length}`, "0", String(refused), refused === 0);
  const runs = [beside, ...alone];
  findings.none(
    `${name}: active requests without a proper answer`,
    runs.flatMap(({ broken }) => broken),
  );
  findings.none(
    `${name}: wrong verdicts, one body in 20 infected`,
    runs.flatMap(({ wrong }) => wrong),
  );
  const { residentBytes, descriptors } = peaks;
  findings.invariant(`${name}: resident memory`, "≤ 600 MiB", mebibytes(residentBytes), residentBytes <= 600 * 1024 * 1024);
  const most = total + 200;
  findings.invariant(`${name}: descriptors`, `≤ connections + 200`, String(descriptors), descriptors <= most);
}

function tellOfCuts(findings: Findings, name: string, { last }: ManyConnections): void {
  for (const [kind, seconds] of [
    ["heads", headSeconds],
    ["bodies", idleSeconds],
  ] as const) {
    const oldestSeconds = last.oldestMs[kind] / 1000;
    const text = `${last.cut[kind]} cut, none later than ${oldestSeconds.toFixed(1)} s`;
    const isCut = last.cut[kind] > 0 && oldestSeconds <= seconds + graceSeconds;
    findings.invariant(`${name}: ${kind} at 1 B/s are cut`, `after ${seconds} s`, text, isCut);
  }
}

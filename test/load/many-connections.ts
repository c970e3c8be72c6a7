/** L5: thousands of connections that do nothing or next to nothing, and what they cost those who work. */

import type { Arrivals } from "./arrivals.ts";
import type { Findings } from "./criterion.ts";
import type { CrowdPlan, CrowdState } from "./crowd.ts";
import { type LoadStage, nothingLeft, type WarmGateway } from "./load-stage.ts";
import { mebibytes, quantile } from "./table.ts";
import { type Peaks, peaksDuring } from "./watch.ts";

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
const idleSeconds = 10;
/** A head that does not end is cut after 10 s, and Node looks every 2 s. */
const headSeconds = 12;
const graceSeconds = 3;

export async function besideACrowd(stage: LoadStage, plan: ManyConnectionsPlan): Promise<ManyConnections> {
  const clamd = await stage.scriptedClamd({ slots: 16, scanMs: 1 });
  const gateway = await stage.gateway({ ...clamd, CLIENT_IDLE_TIMEOUT: `${idleSeconds}s`, CLIENT_MIN_RATE: "1K" });
  const clients = await stage.clients();
  const crowd = await stage.clients();
  const work = () => {
    const { perSecond, active: connections } = plan;
    const order = { url: gateway.url, perSecond, seconds: stage.seconds, connections, bytes: 4096, infectedEvery: 20 };
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

const crowdPlan = { idle: 3300, heads: 3300, bodies: 3300, perSecond: 1000 };
const active = 100;

export async function manyConnections(stage: LoadStage, findings: Findings): Promise<void> {
  const { gateway, alone, beside, peaks, gathered, last } = await besideACrowd(stage, {
    crowd: crowdPlan,
    perSecond: 200,
    active,
  });
  const crowd = crowdPlan.idle + crowdPlan.heads + crowdPlan.bodies;
  findings.invariant("connections at once, 100 of them active", "10 000", `${gathered.open + active}`, gathered.open >= crowd);
  findings.none("… that could not be opened", last.refused);
  const [before, after] = alone.map(p99Of);
  const usual = ((before ?? 0) + (after ?? 0)) / 2;
  const p99 = p99Of(beside);
  const usualText = `usual ${usual.toFixed(1)} ms: ${before?.toFixed(1)} before, ${after?.toFixed(1)} after`;
  findings.goal(
    "p99 of the active clients, 200 requests/s",
    "≤ 2 × usual",
    `${p99.toFixed(1)} ms, ${(p99 / usual).toFixed(2)} × (${usualText})`,
    p99 <= 2 * usual,
  );
  const refused = beside.answers.filter(({ isServed }) => !isServed).length;
  findings.invariant(`active requests refused, of ${beside.answers.length}`, "0", String(refused), refused === 0);
  findings.none("active requests without a proper answer", [...beside.broken, ...alone.flatMap(({ broken }) => broken)]);
  findings.none("wrong verdicts", [...beside.wrong, ...alone.flatMap(({ wrong }) => wrong)]);
  const { residentBytes, descriptors } = peaks;
  findings.invariant("resident memory", "≤ 600 MiB", mebibytes(residentBytes), residentBytes <= 600 * 1024 * 1024);
  const most = crowd + active + 200;
  findings.invariant("descriptors", `≤ ${most} (connections + 200)`, String(descriptors), descriptors <= most);
  const oldest = (kind: "heads" | "bodies") => `${(last.oldestMs[kind] / 1000).toFixed(1)} s at most, ${last.cut[kind]} cut`;
  const isCut = (kind: "heads" | "bodies", seconds: number) =>
    last.cut[kind] > 0 && last.oldestMs[kind] <= (seconds + graceSeconds) * 1000;
  findings.invariant("heads at 1 B/s are cut", `after ${headSeconds} s`, oldest("heads"), isCut("heads", headSeconds));
  findings.invariant("bodies at 1 B/s are cut", `after ${idleSeconds} s`, oldest("bodies"), isCut("bodies", idleSeconds));
  await nothingLeft(findings, gateway);
}

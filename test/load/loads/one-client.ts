/** L8: one client that has more requests under way than the queue holds, and what it costs the others. */

import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../../process/stage.ts";
import type { Arrivals } from "../clients/arrivals.ts";
import type { HoardState } from "../clients/hoard.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft, type WarmGateway } from "../load-stage.ts";
import { quantile } from "../table.ts";

export interface OneClientPlan {
  /** Of the one. */
  readonly connections: number;
  /** Of the engine, and how long each scan takes. */
  readonly slots: number;
  readonly scanMs: number;
  /** Of the others together. */
  readonly perSecond: number;
}

export interface OneClient {
  readonly gateway: WarmGateway;
  readonly alone: Arrivals;
  readonly beside: Arrivals;
  readonly hoard: HoardState;
  /** Served to the one, a second, while it was alone. */
  readonly lonely: number;
}

const bytes = 4096;
const others = Array.from({ length: 10 }, (_, index) => `127.0.0.${11 + index}`);

export async function besideOneClient(
  stage: LoadStage,
  { connections, slots, scanMs, perSecond }: OneClientPlan,
): Promise<OneClient> {
  const gateway = await stage.gateway(await stage.scriptedClamd({ slots, scanMs }));
  const clients = await stage.clients();
  const one = await stage.clients();
  const work = () => {
    const phases = [{ perSecond, seconds: stage.seconds }];
    return clients.run("arrivals", { url: gateway.url, phases, from: others, connections: 200, bytes, infectedEvery: 20 });
  };
  stage.say(`${others.length} clients alone`);
  const alone = await work();
  stage.say(`the one comes with ${connections} connections`);
  await one.run("hoard", { url: gateway.url, connections, from: "127.0.0.2", bytes, restMs: 5_000 });
  await eventually("the queue is full", async () => (await one.run("hoarded", null)).refused > 0);
  const before = await one.run("hoarded", null);
  await delay(stage.seconds * 1000); // the length of what is measured
  const lonely = ((await one.run("hoarded", null)).served - before.served) / stage.seconds;
  stage.say(`${others.length} clients beside it`);
  const beside = await work();
  const hoard = await one.run("release", null);
  await one[Symbol.asyncDispose]();
  await clients[Symbol.asyncDispose]();
  return { gateway, alone, beside, hoard, lonely };
}

export function p95Of({ answers }: Arrivals): number {
  return quantile(
    answers.map(({ ms }) => ms),
    0.95,
  );
}

export function refusedOf({ answers }: Arrivals): number {
  return answers.filter(({ isServed }) => !isServed).length;
}

export async function oneClient(stage: LoadStage, findings: Findings): Promise<void> {
  const [connections, slots, scanMs] = [1_200, 4, 100];
  const { gateway, alone, beside, hoard, lonely } = await besideOneClient(stage, { connections, slots, scanMs, perSecond: 10 });
  const [usual, p95] = [p95Of(alone), p95Of(beside)];
  const text = `${(p95 / usual).toFixed(2)} ×: ${p95.toFixed(0)} ms, alone ${usual.toFixed(0)} ms`;
  findings.goal("p95 of the others, 10 requests/s of 10 addresses", "≤ 3 × alone", text, p95 <= 3 * usual);
  const refused = `${refusedOf(beside)} of ${beside.answers.length}`;
  findings.invariant("others that were refused", "0", refused, refusedOf(beside) === 0);
  findings.none("others without a proper answer", [...alone.broken, ...beside.broken]);
  findings.none("wrong verdicts, one body in 20 infected", [...alone.wrong, ...beside.wrong]);
  findings.none(`neither a verdict nor 503 to the one, of ${hoard.served + hoard.refused}`, hoard.broken);
  const most = (slots * 1000) / scanMs;
  findings.goal(
    "served to the one while it was alone",
    "≥ 0.9 of the engine",
    `${lonely.toFixed(0)} of ${most}/s`,
    lonely >= 0.9 * most,
  );
  await nothingLeft(findings, gateway);
}

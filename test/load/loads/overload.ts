/** L6: five times as many requests as can be served: what becomes of those that can, of the others, and afterwards. */

import { syntheticDatabase } from "../../../bench/database/synthetic-database.ts";
import type { Arrival, Arrivals } from "../clients/arrivals.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft, type WarmGateway } from "../load-stage.ts";
import { quantile } from "../table.ts";
import { pingsDuring } from "../watch.ts";

export interface Overload {
  readonly gateway: WarmGateway;
  /** Requests a second: as fast as they are answered, and of those served during the overload. */
  readonly most: number;
  readonly goodput: number;
  /** Of the overload, and of what follows it: half of `most`. */
  readonly arrivals: Arrivals;
  /** Of those refused during the overload. */
  readonly refusedMs: readonly number[];
  /** From the overload's end to the last answer that was refused or slow. */
  readonly recoveryMs: number;
  readonly pingsMs: readonly number[];
}

export interface OverloadPlan {
  /** The gateway's, besides the engine. */
  readonly env: Readonly<Record<string, string>>;
  readonly clamdSocket: (gateway: WarmGateway) => Promise<string>;
  /** Every so many bodies one is infected; 0 where the engine knows no marker. */
  readonly infectedEvery: number;
  readonly times: number;
  /** What counts as recovered, and how long that is watched. */
  readonly usualMs: number;
  readonly recoverySeconds: number;
}

const bytes = 4096;
/** A queue that is as long as what is served in a fraction of a second or two: the usual thousand suits an engine that is faster. */
const queueMax = "50";

export async function overloaded(stage: LoadStage, plan: OverloadPlan): Promise<Overload> {
  const gateway = await stage.gateway({ QUEUE_MAX: queueMax, ...plan.env });
  const clients = await stage.clients();
  const load = { kind: "upload", url: `${gateway.url}/v2/scan`, body: { kind: "random", bytes, isUnique: true } } as const;
  stage.say("as fast as they are answered, 16 connections");
  const { count, seconds } = await stage.load.run({ load, clients: 16, seconds: stage.seconds, most: null });
  const most = count / seconds;
  const phases = [
    { perSecond: plan.times * most, seconds: stage.seconds },
    { perSecond: most / 2, seconds: plan.recoverySeconds },
  ];
  const order = { url: gateway.url, phases, connections: 1000, bytes, infectedEvery: plan.infectedEvery };
  const pingsMs: number[] = [];
  stage.say(`${plan.times} × ${most.toFixed(0)}/s, then ${(most / 2).toFixed(0)}/s`);
  const arrivals = await pingsDuring(await plan.clamdSocket(gateway), clients.run("arrivals", order), pingsMs);
  await clients[Symbol.asyncDispose]();
  const [over = [], after = []] = phases.map((_, index) => arrivals.answers.filter(({ phase }) => phase === index));
  const refusedMs = over.filter(({ isServed }) => !isServed).map(({ ms }) => ms);
  const bad = after.filter(({ isServed, ms }) => !isServed || ms > plan.usualMs);
  const recoveryMs = Math.max(0, ...bad.map(({ atMs, ms }) => atMs + ms));
  return { gateway, most, goodput: goodputOf(over), arrivals, refusedMs, recoveryMs, pingsMs };
}

/** Served a second between the first request and the last answer. */
function goodputOf(answers: readonly Arrival[]): number {
  const end = Math.max(...answers.map(({ atMs, ms }) => atMs + ms));
  return (answers.filter(({ isServed }) => isServed).length / end) * 1000;
}

export async function overload(stage: LoadStage, findings: Findings): Promise<void> {
  const clamd = await stage.scriptedClamd({ slots: 4, scanMs: 20 });
  const clamdSocket = async () => (clamd.CLAMD_PORT ?? "").replace("unix://", "");
  const scripted = await overloaded(stage, {
    env: clamd,
    clamdSocket,
    infectedEvery: 20,
    times: 5,
    usualMs: 100,
    recoverySeconds: 10,
  });
  await tell(findings, "scripted clamd, 4 × 20 ms", scripted);
  await scripted.gateway[Symbol.asyncDispose]();
  const env = { DATABASE_DIRECTORY: await syntheticDatabase(stage.say), MAX_THREADS: "2" };
  const plan = { env, infectedEvery: 0, times: 5, usualMs: 250, recoverySeconds: 10 };
  const real = await overloaded(stage, { ...plan, clamdSocket: (gateway) => gateway.clamdSocket() });
  await tell(findings, "own clamd, S-real", real);
}

async function tell(findings: Findings, engine: string, result: Overload): Promise<void> {
  const { gateway, most, goodput, arrivals, refusedMs, recoveryMs, pingsMs } = result;
  const all = arrivals.answers.filter(({ phase }) => phase === 0).length;
  const share = goodput / most;
  const worst = quantile(refusedMs, 0.99);
  const ms = (values: readonly number[], at: number) => `${quantile(values, at).toFixed(0)} ms`;
  const refusedText = `p50 ${ms(refusedMs, 0.5)}, p99 ${ms(refusedMs, 0.99)}, most ${ms(refusedMs, 1)}, ${refusedMs.length} of ${all}`;
  findings.none(`5 × overload, ${engine}: neither a verdict nor 503 with Retry-After`, arrivals.broken);
  findings.none(`5 × overload, ${engine}: wrong verdicts`, arrivals.wrong);
  findings.goal(`5 × overload, ${engine}: 503 with Retry-After after (p99)`, "< 100 ms", refusedText, worst < 100);
  const goodputText = `${share.toFixed(2)} × (${goodput.toFixed(0)} of ${most.toFixed(0)}/s)`;
  findings.goal(`5 × overload, ${engine}: served`, "≥ 0.9 of the most", goodputText, share >= 0.9);
  findings.goal(`5 × overload, ${engine}: recovered after`, "≤ 5 s", `${(recoveryMs / 1000).toFixed(2)} s`, recoveryMs <= 5000);
  const pingText = `p99 ${ms(pingsMs, 0.99)}, most ${ms(pingsMs, 1)}, ${pingsMs.length} asked`;
  findings.goal(`5 × overload, ${engine}: clamd answers PING`, "< 50 ms", pingText, quantile(pingsMs, 1) < 50);
  await nothingLeft(findings, gateway);
}

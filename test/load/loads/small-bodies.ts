/** L1: small bodies that nobody has seen, as many as there can be, then half as many. */

import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft } from "../load-stage.ts";
import { quantile } from "../table.ts";

const scanMs = 1;
const bytes = 4096;
const connections = 64;
const infectedEvery = 20;

export async function smallBodies(stage: LoadStage, findings: Findings): Promise<void> {
  const gateway = await stage.gateway(await stage.scriptedClamd({ slots: 16, scanMs }));
  const load = { kind: "upload", url: `${gateway.url}/v2/scan`, body: { kind: "random", bytes, isUnique: true } } as const;
  stage.say(`as fast as they are answered, ${connections} connections`);
  const { count, seconds } = await stage.load.run({ load, clients: connections, seconds: stage.seconds, most: null });
  const most = count / seconds;
  findings.goal("4 KiB unique, scripted clamd of 1 ms, 64 connections", "≥ 1500/s", `${most.toFixed(0)}/s`, most >= 1500);

  stage.say("at half of that rate");
  const clients = await stage.clients();
  const phases = [{ perSecond: most / 2, seconds: stage.seconds }];
  const order = { url: gateway.url, phases, connections, bytes, infectedEvery };
  const { answers, wrong, broken } = await clients.run("arrivals", order);
  const p99 = quantile(
    answers.map(({ ms }) => ms),
    0.99,
  );
  const added = p99 - scanMs;
  findings.goal("p99 at half that rate, beyond the scan's 1 ms", "≤ 10 ms", `${added.toFixed(1)} ms`, added <= 10);
  const refused = answers.filter(({ isServed }) => !isServed).length;
  findings.invariant(
    `errors and refusals of ${answers.length} requests`,
    "0",
    String(broken.length + refused),
    broken.length + refused === 0,
  );
  findings.none(`wrong verdicts, one body in ${infectedEvery} infected`, wrong);
  await clients[Symbol.asyncDispose]();
  await nothingLeft(findings, gateway);
}

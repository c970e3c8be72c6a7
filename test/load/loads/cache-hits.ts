/** L3: bodies whose verdict is remembered, in the gateway's own memory and in a Redis. */

import { isInstalled } from "../../../bench/subjects/is-installed.ts";
import { startRedis } from "../../live/redis.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft } from "../load-stage.ts";

/** With more of them the rate that is wanted would itself mean a longer wait than is wanted. */
const connections = 16;
const body = { kind: "random", bytes: 4096, isUnique: false } as const;

export async function cacheHits(stage: LoadStage, findings: Findings): Promise<void> {
  const clamd = await stage.scriptedClamd({ slots: 16, scanMs: 1 });
  await measure(stage, findings, { name: "memory", atLeast: 4000, env: { ...clamd, VERDICT_CACHE: "memory:" } });
  if (!isInstalled("redis-server")) return findings.missing("cache hits, Redis", "redis-server is not installed");
  await using redis = await startRedis();
  const cache = `redis://127.0.0.1:${redis.port}`;
  await measure(stage, findings, { name: "Redis", atLeast: 2000, env: { ...clamd, VERDICT_CACHE: cache } });
}

interface Subject {
  readonly name: string;
  readonly atLeast: number;
  readonly env: Readonly<Record<string, string>>;
}

async function measure(stage: LoadStage, findings: Findings, { name, atLeast, env }: Subject): Promise<void> {
  await using gateway = await stage.gateway(env);
  const load = { kind: "upload", url: `${gateway.url}/v2/scan`, body } as const;
  await stage.load.run({ load, clients: 1, seconds: stage.seconds, most: 1 });
  const hits = () => gateway.metric('clamgate_verdict_source_total{source="cache"}');
  const before = await hits();
  stage.say(`${name}, ${connections} connections`);
  const { count, seconds, latency } = await stage.load.run({ load, clients: connections, seconds: stage.seconds, most: null });
  const rate = count / seconds;
  const what = `cache hits, ${name}, 4 KiB, ${connections} connections`;
  findings.goal(what, `≥ ${atLeast}/s`, `${rate.toFixed(0)}/s`, rate >= atLeast);
  findings.goal(`${what}: p99`, "≤ 15 ms", `${latency.p99.toFixed(1)} ms`, latency.p99 <= 15);
  const share = ((await hits()) - before) / count;
  findings.goal(`${what}: answered from the cache`, "≥ 99.9 %", `${(share * 100).toFixed(2)} %`, share >= 0.999);
  await nothingLeft(findings, gateway);
}

/** L9: clients that send what costs a server more than them, and what others pay for it. */

import { type FloodKind, type FloodState, floodKinds } from "../clients/flood.ts";
import type { Others } from "../clients/others.ts";
import type { Findings } from "../criterion.ts";
import { type LoadStage, nothingLeft, type WarmGateway } from "../load-stage.ts";
import { mebibytes, quantile } from "../table.ts";
import { peaksDuring } from "../watch.ts";

export interface FloodOutcome {
  readonly others: Others;
  readonly flood: FloodState;
  /** Of the flood, beyond what the gateway held before it. */
  readonly grownBytes: number;
  /** Without the others' own lines. */
  readonly log: { readonly bytes: number; readonly lines: number };
}

const perSecond = 25;

export async function openFloodedGateway(stage: LoadStage): Promise<WarmGateway> {
  return await stage.gateway(await stage.scriptedClamd({ slots: 8, scanMs: 1 }));
}

/** @param kind null: the others alone. */
export async function beside(
  stage: LoadStage,
  gateway: WarmGateway,
  { kind, connections }: { readonly kind: FloodKind | null; readonly connections: number },
): Promise<FloodOutcome> {
  await using clients = await stage.clients();
  await using flooding = await stage.clients();
  const before = await gateway.residentBytes();
  const firstLine = gateway.lines.length;
  if (kind !== null) await flooding.run("flood", { kind, connections, port: gateway.port });
  const order = { url: gateway.url, seconds: stage.seconds, perSecond };
  const { peaks, result: others } = await peaksDuring(gateway, clients.run("others", order));
  const flood = kind === null ? { opened: 0, sentBytes: 0, sent: 0 } : await flooding.run("ebb", null);
  const lines = gateway.lines.slice(firstLine).filter((line) => !line.includes("arrival.bin"));
  const log = { lines: lines.length, bytes: lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0) };
  return { others, flood, grownBytes: peaks.residentBytes - before, log };
}

export function timesOf({ livezMs, uploads }: Others): Readonly<Record<"livez" | "uploads", readonly number[]>> {
  return { livez: livezMs, uploads: uploads.answers.map(({ ms }) => ms) };
}

export function faultsOf({ unanswered, uploads }: Others): readonly string[] {
  return [...unanswered, ...uploads.broken, ...uploads.wrong];
}

/** What one address may have: as many as a browser opens to a site or two. */
const crowds = [1, 15];

export async function floods(stage: LoadStage, findings: Findings): Promise<void> {
  for (const kind of [null, ...floodKinds]) {
    const gateway = await openFloodedGateway(stage);
    for (const connections of kind === null ? [0] : crowds) {
      const name = kind === null ? "no flood" : `${kind}, ${connections === 1 ? "1 connection" : `${connections} connections`}`;
      stage.say(name);
      tell(findings, name, stage.seconds, await beside(stage, gateway, { kind, connections }));
    }
    await nothingLeft(findings, gateway);
    await gateway[Symbol.asyncDispose]();
  }
}

const mostMs = 500;
/** Where V8 lets its heap grow to under any busy traffic: it stays there however long a flood lasts. */
const mostBytes = 256 * 1024 * 1024;
const mostLogBytesPerSecond = 8 * 1024;

function tell(findings: Findings, name: string, seconds: number, { others, flood, grownBytes, log }: FloodOutcome): void {
  const { livez, uploads } = timesOf(others);
  const shown = (times: readonly number[]) => [0.5, 0.99, 1].map((at) => quantile(times, at).toFixed(0)).join(", ");
  const times = `/livez ${shown(livez)}; uploads ${shown(uploads)}`;
  const isSoon = Math.max(...livez, ...uploads) <= mostMs;
  findings.goal(`${name}: p50, p99 and most of others, in ms`, `≤ ${mostMs}`, times, isSoon);
  findings.none(`${name}: others without an answer, or with a wrong one`, faultsOf(others));
  findings.goal(`${name}: memory`, `≤ +${mebibytes(mostBytes)}`, `+${mebibytes(grownBytes)}`, grownBytes <= mostBytes);
  const rate = log.bytes / seconds;
  const text = `${(rate / 1024).toFixed(1)} KiB/s; ${flood.sent} sent on ${flood.opened} connections`;
  findings.invariant(`${name}: log`, `≤ ${mostLogBytesPerSecond / 1024} KiB/s`, text, rate <= mostLogBytesPerSecond);
}

/**
 * `npm run fuzz -- --minutes N`: every campaign in turn with seeds of its own, until the time is over or one fails; at least once.
 * `--only TEXT` takes those alone whose name holds the text, as `--only "other readers"`.
 */

import { parseArgs } from "node:util";
import { chooseSeed } from "../fault/harness/random.ts";
import { numbersFrom } from "../load/arguments.ts";
import { table } from "../load/table.ts";
import type { Outcomes } from "./harness/campaign.ts";
import { openFuzzStage } from "./harness/stage.ts";
import { openJudges } from "./judged/judges.ts";

const { only = "", minutes: given = "10" } = parseArgs({
  options: { only: { type: "string" }, minutes: { type: "string" } },
}).values;
const { minutes } = numbersFrom({ minutes: 10 }, [`--minutes=${given}`]);
const start = performance.now();
const end = start + minutes * 60_000;
const first = chooseSeed();
console.log(`seeds from ${first} on (SEED=${first} repeats them)`);

await using stage = await openFuzzStage();
await using judges = await openJudges("all");
const campaigns = [...stage.campaigns, ...judges.campaigns].filter(({ name }) => name.includes(only));
const counts = new Map<string, { inputs: number; ms: number; slowestMs: number; outcomes: Map<string, number> }>();
const residentAtStart = await stage.gateway.residentBytes();
let residentHalfway: number | null = null;
let isFaultless = campaigns.length > 0;
for (let seed = first; isFaultless && (seed === first || performance.now() < end); seed += 1) {
  for (const one of campaigns) {
    const startedAt = performance.now();
    const tried = await attempt(`${one.name} with SEED=${seed}`, () =>
      one.run({ seed, runs: one.testRuns, withCorpus: seed === first }),
    );
    const noted = counts.get(one.name) ?? { inputs: 0, ms: 0, slowestMs: 0, outcomes: new Map() };
    counts.set(one.name, noted);
    noted.inputs += tried?.inputs ?? 0;
    noted.ms += performance.now() - startedAt;
    noted.slowestMs = Math.max(noted.slowestMs, tried?.slowestMs ?? 0);
    for (const [outcome, times] of tried?.outcomes ?? []) noted.outcomes.set(outcome, (noted.outcomes.get(outcome) ?? 0) + times);
    if (performance.now() - start >= minutes * 30_000) residentHalfway ??= await stage.gateway.residentBytes();
  }
}
const residue = await attempt("the closing look", () => stage.closingLook());
const rows = [...counts].map(([name, { inputs, ms, slowestMs, outcomes }]) => [
  name,
  inputs,
  inWords(outcomes),
  `${(ms / 1000).toFixed(0)} s`,
  `${slowestMs.toFixed(0)} ms`,
]);
console.log(table(["Campaign", "Inputs", "Outcomes", "Took", "Slowest input"], rows));
console.log(judges.account());
if (residue !== null) {
  const halfway = residentHalfway === null ? "" : ` ${residentHalfway >> 20} MiB halfway,`;
  console.log(`resident ${residentAtStart >> 20} MiB at the start,${halfway} ${residue.residentBytes >> 20} MiB at the end`);
}
console.log(isFaultless ? "no fault" : "FAILED");
process.exitCode = isFaultless ? 0 : 1;

async function attempt<T>(what: string, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    isFaultless = false;
    console.log(`${what}: ${messagesOf(error).join("\n")}`);
    return null;
  }
}

function inWords(outcomes: Outcomes): string {
  return [...outcomes].map(([outcome, times]) => `${times} ${outcome}`).join(", ");
}

/** What has failed stands in the cause of what fast-check says. */
function messagesOf(error: unknown): readonly string[] {
  return error instanceof Error
    ? [error.message, ...(error.cause === undefined ? [] : messagesOf(error.cause))]
    : [String(error)];
}

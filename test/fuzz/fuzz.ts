/** `npm run fuzz -- --minutes N`: every campaign in turn with seeds of its own, until the time is over or one fails. */

import { assertNothingLeft } from "../fault/invariants.ts";
import { chooseSeed } from "../fault/random.ts";
import { residueOf } from "../fault/residue.ts";
import { numbersFrom } from "../load/arguments.ts";
import { table } from "../load/table.ts";
import { openFuzzStage } from "./stage.ts";

const { minutes } = numbersFrom({ minutes: 10 });
const end = performance.now() + minutes * 60_000;
const first = chooseSeed();
console.log(`seeds from ${first} on (SEED=${first} repeats them)`);

await using stage = await openFuzzStage();
const before = await residueOf(stage.gateway);
const counts = new Map<string, { runs: number; ms: number }>();
let fault: unknown = null;
for (let seed = first; performance.now() < end && fault === null; seed += 1) {
  for (const one of stage.campaigns) {
    const startedAt = performance.now();
    try {
      await one.run({ seed, runs: one.testRuns });
    } catch (error) {
      fault = error;
      console.log(`${one.name} with SEED=${seed}: ${error instanceof Error ? error.message : error}`);
    }
    const noted = counts.get(one.name) ?? { runs: 0, ms: 0 };
    counts.set(one.name, { runs: noted.runs + one.testRuns, ms: noted.ms + performance.now() - startedAt });
  }
}
const after = await assertNothingLeft(stage.gateway, { before });
const rows = [...counts].map(([name, { runs, ms }]) => [name, runs, `${(ms / 1000).toFixed(0)} s`]);
console.log(table(["Campaign", "Inputs", "Took"], rows));
console.log(`resident ${before.residentBytes >> 20} MiB at the start, ${after.residentBytes >> 20} MiB at the end`);
console.log(fault === null ? "no fault" : "FAILED");
process.exitCode = fault === null ? 0 : 1;

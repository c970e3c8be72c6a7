/** The share of the differential campaigns that every run of the tests has, before the readers of npm and Python; `npm run fuzz` has them all. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chooseSeed } from "../../fault/harness/random.ts";
import { openJudges } from "./judges.ts";

describe("what the gateway calls clean", () => {
  test("holds nothing for other readers that was not scanned", { timeout: 180_000 }, async (context) => {
    const seed = chooseSeed();
    context.diagnostic(`seed ${seed} (SEED=${seed} repeats it)`);
    await using judges = await openJudges("few");
    const missing = judges.readers.filter(({ version }) => version === null).map(({ name }) => name);
    if (process.env.CI === "true") assert.deepEqual(missing, [], "With CI=true a missing reader is a failure.");
    else if (missing.length > 0) context.diagnostic(`missing readers: ${missing.join(", ")}`);
    for (const campaign of judges.campaigns) {
      await context.test(campaign.name, async (part) => {
        const { inputs, outcomes } = await campaign.run({ seed, runs: campaign.testRuns, withCorpus: true });
        part.diagnostic(`${inputs} inputs: ${[...outcomes].map(([outcome, times]) => `${times} ${outcome}`).join(", ")}`);
      });
    }
  });
});

/** The share of the campaigns that every run of the tests has; `npm run fuzz -- --minutes N` goes on. */

import { describe, test } from "node:test";
import { chooseSeed } from "../fault/harness/random.ts";
import { openFuzzStage } from "./harness/stage.ts";

describe("bad inputs", () => {
  test("are answered by the right verdict or an error, and leave nothing behind", { timeout: 600_000 }, async (context) => {
    const seed = chooseSeed();
    context.diagnostic(`seed ${seed} (SEED=${seed} repeats it)`);
    await using stage = await openFuzzStage();
    for (const campaign of stage.campaigns) {
      await context.test(campaign.name, async (part) => {
        const { inputs } = await campaign.run({ seed, runs: campaign.testRuns, withCorpus: true });
        part.diagnostic(`${inputs} inputs`);
      });
    }
    await context.test("leave nothing behind, and only JSON in the log (I5, B5)", async () => {
      await stage.closingLook();
    });
  });
});

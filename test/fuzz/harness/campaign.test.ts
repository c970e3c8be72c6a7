/** That a campaign which finds something says what, and that one which could find nothing fails. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type CampaignOptions, campaign } from "./campaign.ts";

const numbers = {
  name: "numbers",
  testRuns: 200,
  arbitrary: fc.array(fc.nat(1_000)),
  corpus: [],
} satisfies Omit<CampaignOptions<number[]>, "check">;
const run = { seed: 7, runs: 200, withCorpus: true };

function noneAbove100(input: readonly number[]): void {
  assert.ok(
    input.every((number) => number <= 100),
    "too large",
  );
}

describe("campaign", () => {
  test("prints the seed and the smallest counterexample of what fails, and why it did", async () => {
    const { message, cause } = await failureOf(campaign({ ...numbers, check: noneAbove100 }).run(run));
    assert.match(message, /seed: 7,/);
    assert.match(message, /Counterexample: \[\[101\]\]/);
    assert.match(String(cause), /too large/);
  });

  test("looks for a smaller counterexample no longer than it may", async () => {
    let failures = 0;
    const check = (input: number[]) => {
      if (input.every((number) => number <= 100)) return;
      failures += 1;
      throw new Error("too large");
    };
    const { message } = await failureOf(campaign({ ...numbers, check }).run({ ...run, shrinkMs: 0 }));
    assert.match(message, /seed: 7,/);
    assert.match(message, /Shrunk 0 time/);
    assert.equal(failures, 1);
  });

  test("fails where too few of its inputs have had an outcome", async () => {
    const least = { large: 0.1 };
    const check: CampaignOptions<number[]>["check"] = (input, note) => {
      if (input.some((one) => one > 100)) note("large");
    };
    await campaign({ ...numbers, least, check }).run(run);
    await assert.rejects(campaign({ ...numbers, least, check: () => {} }).run(run), /seed 7: "large" came of 0 in 200 inputs/);
  });

  test("looks behind the last input, and tells of the counterexample where both fail", async () => {
    const after = () => Promise.reject(new Error("something came late"));
    await assert.rejects(campaign({ ...numbers, after, check: () => {} }).run(run), /something came late/);
    await assert.rejects(campaign({ ...numbers, after, check: noneAbove100 }).run(run), /Counterexample/);
  });
});

async function failureOf(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Error, "it did not fail");
  return error;
}

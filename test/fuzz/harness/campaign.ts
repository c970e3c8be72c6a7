/** One kind of hostile input: a fixed corpus, a generator, what must hold for each, and how much of it all must have been worth a check. */

import assert from "node:assert/strict";
import fc from "fast-check";

export interface CampaignRun {
  /** Repeats the run; printed by fast-check with the shrunk counterexample when it fails. */
  readonly seed: number;
  /** Generated inputs. */
  readonly runs: number;
  /** Whether the corpus comes before them; it is the same for any seed. */
  readonly withCorpus: boolean;
  /** How long a smaller counterexample is looked for behind the first one; default 20 s. What is being tried then goes on. */
  readonly shrinkMs?: number;
}

/** How often each outcome has come of an input. */
export type Outcomes = ReadonlyMap<string, number>;

export interface CampaignResult {
  readonly inputs: number;
  readonly outcomes: Outcomes;
  /** The longest that one of them took. */
  readonly slowestMs: number;
}

export interface Campaign {
  readonly name: string;
  /** Generated inputs of one round: the round of all campaigns together takes about half a minute on two cores. */
  readonly testRuns: number;
  /** Tries the corpus and then generated inputs; resolves with what came of them, rejects with the counterexample. */
  run(options: CampaignRun): Promise<CampaignResult>;
}

export interface CampaignOptions<T> {
  readonly name: string;
  readonly testRuns: number;
  readonly arbitrary: fc.Arbitrary<T>;
  /** Tried first: what has broken parsers elsewhere, or ours. */
  readonly corpus: readonly T[];
  /** @param note counts what has come of the input. */
  readonly check: (input: T, note: (outcome: string) => void) => Promise<void> | void;
  /** The share of all inputs that an outcome must have: a build that refuses everything, or sees nothing, must not pass. */
  readonly least?: Readonly<Record<string, number>>;
  /** Before the first input: shows that what the inputs must not do can be done, and would be seen. */
  readonly before?: () => Promise<void>;
  /** Behind the last input, or the counterexample. */
  readonly after?: () => Promise<void>;
}

/** No input may keep anything busy for longer. */
const hangMs = 20_000;

export function campaign<T>({
  name,
  testRuns,
  arbitrary,
  corpus,
  check,
  least = {},
  before,
  after,
}: CampaignOptions<T>): Campaign {
  return {
    name,
    testRuns,
    run: async ({ seed, runs, withCorpus, shrinkMs = 20_000 }) => {
      const examples = withCorpus ? corpus.map((input): [T] => [input]) : [];
      const numRuns = runs + examples.length;
      const counts = new Map<string, number>();
      const count = (outcome: string) => void counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      let slowestMs = 0;
      const property = fc.asyncProperty(arbitrary, async (input) => {
        const startedAt = performance.now();
        await check(input, count);
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      });
      await before?.();
      try {
        await fc.assert(property, { seed, numRuns, examples, timeout: hangMs, plugins: [shrinkingWithin(shrinkMs)] });
      } catch (error) {
        await after?.().catch(() => {}); // the counterexample says more
        throw error;
      }
      await after?.();
      for (const [outcome, share] of Object.entries(least)) {
        const times = counts.get(outcome) ?? 0;
        assert.ok(
          times >= share * numRuns,
          `seed ${seed}: "${outcome}" came of ${times} in ${numRuns} inputs: too few to show anything`,
        );
      }
      return { inputs: numRuns, outcomes: counts, slowestMs };
    },
  };
}

/** Each try may take a gateway seconds, and fast-check's own limit would count from the first input. */
function shrinkingWithin(ms: number): fc.Plugin<unknown> {
  return () => {
    let end = Number.POSITIVE_INFINITY;
    return {
      decorateRun: (run) => async (value) => {
        if (performance.now() >= end) return new fc.PreconditionFailure(true);
        const failure = await run(value);
        if (failure !== null && !fc.PreconditionFailure.isFailure(failure)) end = Math.min(end, performance.now() + ms);
        return failure;
      },
    };
  };
}

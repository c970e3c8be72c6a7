/** One kind of hostile input: a fixed corpus, a generator, and what must hold for each. */

import fc from "fast-check";

export interface CampaignRun {
  /** Repeats the run; printed by fast-check with the shrunk counterexample when it fails. */
  readonly seed: number;
  /** Generated inputs. */
  readonly runs: number;
  /** Whether the corpus comes before them; it is the same for any seed. */
  readonly withCorpus: boolean;
}

export interface Campaign {
  readonly name: string;
  /** Generated inputs of one round: the round of all campaigns together takes about half a minute on two cores. */
  readonly testRuns: number;
  /** Tries the corpus and then generated inputs; resolves with how many there were, rejects with the counterexample. */
  run(options: CampaignRun): Promise<number>;
}

export interface CampaignOptions<T> {
  readonly name: string;
  readonly testRuns: number;
  readonly arbitrary: fc.Arbitrary<T>;
  /** Tried first: what has broken parsers elsewhere, or ours. */
  readonly corpus: readonly T[];
  readonly check: (input: T) => Promise<void> | void;
}

/** No input may keep anything busy for longer. */
const hangMs = 20_000;

export function campaign<T>({ name, testRuns, arbitrary, corpus, check }: CampaignOptions<T>): Campaign {
  return {
    name,
    testRuns,
    run: async ({ seed, runs, withCorpus }) => {
      const examples = withCorpus ? corpus.map((input): [T] => [input]) : [];
      const numRuns = runs + examples.length;
      const property = fc.asyncProperty(arbitrary, async (input) => check(input));
      await fc.assert(property, { seed, numRuns, examples, timeout: hangMs, endOnFailure: true });
      return numRuns;
    },
  };
}

/** Bytes with a few of them changed, taken away, doubled or put elsewhere. */
export function mutated(whole: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = fc.record({
    kind: fc.constantFrom("set", "drop", "double", "insert", "cut", "swap"),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 12 }),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      fc.constantFrom(...'\r\n\0-: \t"\\;=').map((text) => Buffer.from(text)),
    ),
  });
  return fc.tuple(whole, fc.array(change, { maxLength: 4 })).map(([start, changes]) => {
    let bytes = start;
    for (const { kind, at, length, bytes: more } of changes) {
      const from = bytes.length === 0 ? 0 : at % bytes.length;
      const head = bytes.subarray(0, from);
      const some = bytes.subarray(from, from + length);
      const tail = bytes.subarray(from + length);
      if (kind === "set") bytes = Buffer.concat([head, more, bytes.subarray(from + more.length)]);
      else if (kind === "drop") bytes = Buffer.concat([head, tail]);
      else if (kind === "double") bytes = Buffer.concat([head, some, some, tail]);
      else if (kind === "insert") bytes = Buffer.concat([head, more, some, tail]);
      else if (kind === "swap") bytes = Buffer.concat([head, Buffer.from(some).reverse(), tail]);
      else bytes = Buffer.from(head);
    }
    return bytes;
  });
}

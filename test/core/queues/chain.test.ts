import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Chain, type Link } from "../../../src/core/queues/chain.ts";

describe("Chain", () => {
  test("is what an array would be, whoever leaves and however often", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant("add" as const), fc.nat(20))), (steps) => {
        const chain = new Chain<number>();
        const links: Link<number>[] = [];
        let expected: number[] = [];
        for (const [number, step] of steps.entries()) {
          if (step === "add") {
            links.push(chain.add(number));
            expected.push(number);
          } else {
            const link = links[step];
            link?.remove();
            expected = expected.filter((one) => one !== link?.item);
          }
          assert.deepEqual(chain.items(), expected);
          assert.equal(chain.size, expected.length);
          assert.equal(chain.first?.item, expected[0]);
          assert.equal(chain.last?.item, expected.at(-1));
        }
      }),
    );
  });
});

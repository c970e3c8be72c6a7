import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inOrder } from "../../client/src/in-order.ts";

/** Work that ends when a test says. */
function manualWork() {
  const ends = new Map<number, (value: string) => void>();
  const begun: number[] = [];
  return {
    begun,
    work: (item: number) => {
      begun.push(item);
      return new Promise<string>((resolve) => ends.set(item, resolve));
    },
    end: (item: number) => ends.get(item)?.(`done ${item}`),
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("inOrder", () => {
  test("gives results in the items' order, whichever ends first", async () => {
    const { work, end } = manualWork();
    const results = inOrder([1, 2, 3], 3, work);
    const first = results.next();
    await turn();
    end(3);
    end(2);
    await turn();
    end(1);
    assert.deepEqual(
      [(await first).value, (await results.next()).value, (await results.next()).value],
      ["done 1", "done 2", "done 3"],
    );
    assert.equal((await results.next()).done, true);
  });

  test("works on no more than that at once, and goes on behind a slow one", async () => {
    const { work, begun, end } = manualWork();
    const results = inOrder(
      Array.from({ length: 100 }, (_, item) => item),
      2,
      work,
    );
    void results.next();
    await turn();
    assert.deepEqual(begun, [0, 1]);
    for (let item = 1; item < 100; item += 1) {
      end(item);
      await turn();
    }
    // 32 results wait for the first: more would be kept without a bound.
    assert.equal(begun.length, 32);
  });

  test("gives a result while the next item is still awaited", async () => {
    async function* items() {
      yield 1;
      await new Promise(() => {});
    }
    const results = inOrder(items(), 4, async (item) => item);
    assert.equal((await results.next()).value, 1);
  });

  test("passes on what the items throw, behind the results before it, and what the work throws", async () => {
    async function* items() {
      yield 1;
      throw new Error("no more");
    }
    const results = inOrder(items(), 4, async (item) => item);
    assert.equal((await results.next()).value, 1);
    await assert.rejects(results.next(), /no more/);
    await assert.rejects(inOrder([1], 4, async () => Promise.reject(new Error("failed"))).next(), /failed/);
  });
});

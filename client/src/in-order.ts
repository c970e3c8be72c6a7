/** Work on many items, a few at once, with the results in the items' order. */

/** So many results for each of `width` may wait for a slow one before them: memory does not grow with the number of items. */
const waitingForEach = 16;

/** A result is given as soon as it and all before it are there, while the next item is still awaited. */
export async function* inOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  width: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const results: Result<R>[] = [];
  let running = 0;
  let isPulling = false;
  const state: { end: { readonly error: unknown } | "whole" | null } = { end: null };
  let wake: () => void = () => {};

  async function pull(): Promise<void> {
    if (isPulling || state.end !== null || running >= width || results.length >= width * waitingForEach) return;
    isPulling = true;
    try {
      const { done, value } = await source.next();
      if (done) state.end = "whole";
      else start(value);
    } catch (error) {
      state.end = { error };
    }
    isPulling = false;
    wake();
  }

  function start(item: T): void {
    const result: Result<R> = { outcome: null };
    results.push(result);
    running += 1;
    const settled = (outcome: Result<R>["outcome"]) => {
      result.outcome = outcome;
      running -= 1;
      wake();
    };
    work(item).then(
      (value) => settled({ kind: "value", value }),
      (error: unknown) => settled({ kind: "error", error }),
    );
  }

  try {
    for (;;) {
      void pull();
      const first = results[0];
      if (first === undefined && state.end !== null) {
        if (state.end === "whole") return;
        throw state.end.error;
      }
      if (first?.outcome != null) {
        results.shift();
        if (first.outcome.kind === "error") throw first.outcome.error;
        yield first.outcome.value;
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    // One that waits for its next item cannot be told to end before it has come.
    if (state.end === null) void Promise.resolve(source.return?.()).catch(() => {});
  }
}

interface Result<R> {
  outcome: { readonly kind: "value"; readonly value: R } | { readonly kind: "error"; readonly error: unknown } | null;
}

/** Asks for the next piece while the one before is still in use, so that two devices work at the same time. */

/** At most one piece ahead. An error of the source comes in its place, after the pieces before it. */
export async function* readAhead<T>(source: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (let next = iterator.next(); ; ) {
      const { done, value } = await next;
      if (done) return;
      next = iterator.next();
      next.catch(() => {}); // heard in its turn, if anyone still asks
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** Threads of a scripted clamd: so many at work at once, and the others wait. */

/** Runs what it is given on one of them, in the order that it came. */
export function oneOf(count: number): <T>(use: () => Promise<T>) => Promise<T> {
  let free = count;
  const waiting: (() => void)[] = [];
  return async (use) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free -= 1;
    try {
      return await use();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}

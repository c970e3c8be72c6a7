/** Lines that a client can cause at will: the first of a kind in each second are written, the others counted and told of in one. */

export interface CountedLines {
  /**
   * Whether the line may be written; where not, it is counted.
   * @param kind one of a closed set.
   * @param tell writes the count when the second is over.
   */
  admit(kind: string, tell: (lines: number) => void): boolean;
  /** Tells of what has been counted. */
  flush(): void;
}

/** Enough to see what happens, and few enough that all kinds together are no flood of their own. */
const perSecond = 5;

interface Count {
  lines: number;
  readonly tell: (lines: number) => void;
}

export function countLines(): CountedLines {
  const counts = new Map<string, Count>();
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    const ended = [...counts.values()];
    counts.clear();
    for (const { lines, tell } of ended) if (lines > perSecond) tell(lines - perSecond);
  }

  return {
    admit(kind, tell) {
      if (counts.size === 0) timer = setTimeout(flush, 1_000).unref();
      const count = counts.get(kind) ?? { lines: 0, tell };
      counts.set(kind, count);
      count.lines += 1;
      return count.lines <= perSecond;
    },
    flush,
  };
}

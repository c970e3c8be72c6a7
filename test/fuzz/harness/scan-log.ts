/** What the gateway's log says of the bodies that were scanned: proof that one was, whoever got the answer. */

export interface ScanLog {
  /** Where the verdicts about these bytes have come from so far: "engine", "cache", "shared"; empty: nobody has asked for one. */
  sourcesOf(sha256: string): ReadonlySet<string>;
}

const none: ReadonlySet<string> = new Set();

/** @param lines those of the process, growing. */
export function scanLog(lines: readonly string[]): ScanLog {
  const known = new Map<string, Set<string>>();
  let read = 0;
  return {
    sourcesOf(sha256) {
      for (; read < lines.length; read += 1) {
        const line = lines[read] ?? "";
        const digest = /"digest":"([0-9a-f]{64})"/.exec(line)?.[1];
        const source = /"source":"([a-z]+)"/.exec(line)?.[1];
        if (digest === undefined || source === undefined) continue;
        known.set(digest, (known.get(digest) ?? new Set()).add(source));
      }
      return known.get(sha256) ?? none;
    },
  };
}

/** Runs one process to its end, as a single freshclam run. */

import type { ChildRecords } from "./child-records.ts";
import { describeEnding } from "./ending.ts";
import { type Launch, spawnProcess } from "./spawned-process.ts";
import { realTiming, settlesWithin, type Timing } from "./timing.ts";

export interface RunOptions extends Launch {
  /** Names the run in errors. */
  readonly name: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly records: ChildRecords;
  /** Every line of both pipes as it comes; must not throw. */
  readonly onLine?: (line: string) => void;
  /** How many of the last lines the outcome keeps. Default 1000. */
  readonly maxLines?: number;
  readonly timing?: Timing;
}

export interface RunOutcome {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly string[];
  /** True when it was killed because its time was over. */
  readonly timedOut: boolean;
  readonly durationMs: number;
}

/**
 * Resolves however the process ended, when nothing of its group is left. Rejects when it could not be started, and with the
 * signal's reason when it was aborted: then too nothing is left.
 */
export async function runToEnd(options: RunOptions): Promise<RunOutcome> {
  const { name, timeoutMs, signal, records, onLine, maxLines = 1_000, timing = realTiming } = options;
  signal.throwIfAborted();
  const startedAt = timing.clock();
  const lines: string[] = [];
  const child = spawnProcess(options, {
    records,
    timing,
    onLine: (line) => {
      lines.push(line);
      if (lines.length > maxLines) lines.shift();
      onLine?.(line);
    },
  });

  signal.addEventListener("abort", child.kill, { once: true });
  try {
    const timedOut = !(await settlesWithin(child.exited, timeoutMs, timing));
    if (timedOut) child.kill();
    const ending = await child.ended;
    signal.throwIfAborted();
    if (ending.failure !== null) throw new Error(`${name}: ${describeEnding(ending)}`);
    return { code: ending.code, signal: ending.signal, lines, timedOut, durationMs: timing.clock() - startedAt };
  } finally {
    signal.removeEventListener("abort", child.kill);
  }
}

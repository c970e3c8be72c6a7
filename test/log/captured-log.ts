/** A log whose lines a test can read. */

import assert from "node:assert/strict";
import { createLog, type Log, type LogOptions } from "../../src/log/log.ts";

export interface CapturedLog {
  readonly log: Log;
  /** What was written, in the pieces it came in. */
  readonly written: readonly string[];
  /** The only piece, parsed. */
  only(): Record<string, unknown>;
}

export function capturedLog(options: Partial<LogOptions> = {}): CapturedLog {
  const written: string[] = [];
  const log = createLog({
    level: "debug",
    format: "json",
    destination: { write: (line) => void written.push(line) },
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    ...options,
  });
  return {
    log,
    written,
    only() {
      assert.equal(written.length, 1);
      const line: unknown = JSON.parse(written[0] ?? "");
      assert.ok(typeof line === "object" && line !== null);
      return { ...line };
    },
  };
}

/** What came of each file, and the count of it all. */

import type { EngineInfo, FilePath, Report, ScanError } from "./library.ts";

export type Outcome = { readonly path: FilePath } & (
  | { readonly report: Report; readonly error?: never }
  | { readonly report?: never; readonly error: Pick<ScanError, "code" | "message"> }
);

export interface Summary {
  readonly files: number;
  readonly bytes: number;
  readonly clean: number;
  readonly infected: number;
  readonly unscannable: number;
  readonly errors: number;
  /** Not clean, and allowed by a policy. */
  readonly letPass: number;
  /** Whether anything is blocked. */
  readonly isBlocked: boolean;
  readonly elapsedMs: number;
  /** Whether all that was asked for has been gone through. */
  readonly isComplete: boolean;
  /** The newest that scanned; null where nothing was. */
  readonly engine: EngineInfo | null;
}

export interface Count {
  add(outcome: Outcome): void;
  summary(isComplete: boolean): Summary;
}

export function createCount(clock: () => number): Count {
  const startedAt = clock();
  const of = { files: 0, bytes: 0, clean: 0, infected: 0, unscannable: 0, errors: 0, letPass: 0 };
  let isBlocked = false;
  let engine: EngineInfo | null = null;
  return {
    add({ report }) {
      of.files += 1;
      if (report === undefined) {
        of.errors += 1;
        return;
      }
      of.bytes += report.size ?? 0;
      of[report.verdict.kind] += 1;
      if (!report.allowed) isBlocked = true;
      else if (report.verdict.kind !== "clean") of.letPass += 1;
      engine = report.engine;
    },
    summary: (isComplete) => ({ ...of, isBlocked, engine, isComplete, elapsedMs: Math.round(clock() - startedAt) }),
  };
}

/** What every format gives: text for the beginning, for each result as it comes, and for the end. */

import type { Outcome, Summary } from "../summary.ts";

export interface ResultWriter {
  begin(): string;
  /** Empty where the result is not listed. */
  result(outcome: Outcome): string;
  end(summary: Summary, exitCode: number): string;
}

export interface WriterOptions {
  /** Leaves out what is allowed. */
  readonly listsBlockedOnly: boolean;
  readonly listsClean: boolean;
  readonly isColored: boolean;
  /** Of the command. */
  readonly version: string;
  /** What URIs are relative to. */
  readonly directory: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** With `-i` only what is blocked, and what could not be scanned. */
export function isListed({ report }: Outcome, { listsBlockedOnly }: Pick<WriterOptions, "listsBlockedOnly">): boolean {
  return !(listsBlockedOnly && report?.allowed === true);
}

/** How a process ended, as values and in words. */

/** Exactly one of the three is not null. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why there never was a process, or none that was let run. */
  readonly failure: string | null;
}

/** As `exit code 1`, `signal SIGKILL` or why it could not be started. */
export function describeEnding({ code, signal, failure }: Ending): string {
  return failure ?? (signal === null ? `exit code ${code}` : `signal ${signal}`);
}

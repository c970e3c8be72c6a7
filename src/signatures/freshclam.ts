/** One run of freshclam, on our schedule: a daemon of its own would run into our loads and hide its exit code. */

import { type FreshclamRun, interpretFreshclam, type UpdateResult } from "./freshclam-outcome.ts";

export interface ChildRunOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Names the child in the log. */
  readonly name: string;
  readonly onLine?: (line: string) => void;
}

/** Runs a child to its end, its group killed at the time-out or by the signal. */
export type RunChild = (options: ChildRunOptions) => Promise<FreshclamRun>;

export interface FreshclamOptions {
  readonly run: RunChild;
  /** Default `freshclam`, found by PATH. */
  readonly command?: string;
  readonly configPath: string;
  /** False adds `--no-dns`: with a private mirror no name of the project's is ever looked up. */
  readonly usesDns: boolean;
  readonly hasCustomUrls: boolean;
  /** For the whole run. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** What the last run said, if there was one. */
  readonly previous: UpdateResult | null;
}

/** Never rejects but with the signal's reason: a freshclam that cannot be started is a failed update. */
export async function runFreshclam(options: FreshclamOptions): Promise<UpdateResult> {
  const all = await once(options, []);
  const { lines } = all;
  // freshclam gives up at the first official database it cannot get, and then never looks at the custom ones.
  const neverAskedCustom = all.code !== 0 && !all.timedOut && !lines.some((line) => line.includes("fc_download_url_database"));
  const result = interpretFreshclam(all, options.previous);
  if (!options.hasCustomUrls || !neverAskedCustom || all.code === null) return result;
  const custom = interpretFreshclam(await once(options, ["--update-db=custom"]), options.previous);
  return { ...result, detail: `${result.detail}; custom databases ${custom.outcome}: ${custom.detail}` };
}

async function once(options: FreshclamOptions, extra: readonly string[]): Promise<FreshclamRun> {
  const { run, command = "freshclam", configPath, usesDns, timeoutMs, signal } = options;
  // --stdout: warnings go there too, and the lines of two pipes would lose their order.
  const args = [`--config-file=${configPath}`, "--stdout", ...(usesDns ? [] : ["--no-dns"]), ...extra];
  try {
    return await run({ command, args, timeoutMs, signal, name: "freshclam" });
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    return { code: null, signal: "failing to start", lines: [`cannot be run: ${message}`], timedOut: false, durationMs: 0 };
  }
}

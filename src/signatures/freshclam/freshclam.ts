/** One run of freshclam, on our schedule: a daemon of its own would run into our loads and hide its exit code. */

import { messageOf } from "../../core/errors.ts";
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
  /** A file or a header that becomes larger fails the update. Both a multiple of 1,024. */
  readonly bounds: { readonly fileBytes: number; readonly memoryBytes: number };
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

/**
 * freshclam itself bounds no download: it keeps a database in a file, its header in memory. At the limit it fails and tidies up;
 * the signal would only end it. A limit that is lower already, or not known to the system, stays as it is.
 */
const bounded = '{ ulimit -f "$1"; ulimit -v "$2"; } 2> /dev/null; trap "" XFSZ; shift 2; exec "$@"';

async function once(options: FreshclamOptions, extra: readonly string[]): Promise<FreshclamRun> {
  const { run, command = "freshclam", configPath, usesDns, bounds, timeoutMs, signal } = options;
  // --stdout: warnings go there too, and the lines of two pipes would lose their order.
  const own = [`--config-file=${configPath}`, "--stdout", ...(usesDns ? [] : ["--no-dns"]), ...extra];
  // POSIX counts files in blocks of 512 bytes, and shells count memory in KiB.
  const limits = [String(bounds.fileBytes / 512), String(bounds.memoryBytes / 1024)];
  try {
    return await run({
      command: "/bin/sh",
      args: ["-c", bounded, "freshclam", ...limits, command, ...own],
      timeoutMs,
      signal,
      name: "freshclam",
    });
  } catch (error) {
    signal.throwIfAborted();
    const message = messageOf(error);
    return { code: null, signal: "failing to start", lines: [`cannot be run: ${message}`], timedOut: false, durationMs: 0 };
  }
}

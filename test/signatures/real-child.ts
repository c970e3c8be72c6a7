/** Runs a real child to its end, as the supervise room does for the gateway. */

import { spawn } from "node:child_process";
import type { RunChild } from "../../src/signatures/freshclam/freshclam.ts";

/** Proxies of the environment are kept away: libcurl would send even loopback through them. */
export const realChild: RunChild = ({ command, args, timeoutMs, signal, onLine }) =>
  new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const env = { PATH: process.env.PATH, TZ: process.env.TZ };
    const child = spawn(command, args, {
      env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      signal,
    });
    let text = "";
    for (const pipe of [child.stdout, child.stderr]) pipe.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    child.on("error", reject);
    child.on("close", (code, by) => {
      const durationMs = performance.now() - startedAt;
      const lines = text.split("\n");
      for (const line of lines) onLine?.(line);
      resolve({ code, signal: by, lines, timedOut: by === "SIGKILL" && durationMs >= timeoutMs, durationMs });
    });
  });

/** Standard output of a scan with the database in `database`, one line a file; rejects when it did not load. */
export async function clamscan(database: string, ...paths: readonly string[]): Promise<string[]> {
  const args = ["--no-summary", `--database=${database}`, ...paths];
  const run = await realChild({
    command: "clamscan",
    args,
    timeoutMs: 60_000,
    signal: new AbortController().signal,
    name: "clamscan",
  });
  if (run.code !== 0 && run.code !== 1) throw new Error(run.lines.join("\n"));
  return run.lines.filter((line) => line !== "");
}

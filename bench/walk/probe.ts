/** Loaded into a gateway before anything of its own: counts what happens between `begin` and `end`, for whoever started it. */

import { createHook } from "node:async_hooks";
import { Session } from "node:inspector/promises";
import { fileURLToPath } from "node:url";

/** What one request went through. Functions and files are the gateway's own; promises and timers include those of libraries. */
export interface Walk {
  readonly promises: number;
  readonly timers: number;
  readonly functions: number;
  readonly files: number;
}

const source = new URL("../../src/", import.meta.url).href;
const made = new Map<string, number>();
const hook = createHook({
  init: (_id, type) => void made.set(type, (made.get(type) ?? 0) + 1),
});
const session = new Session();
session.connect();

process.on("message", (message) => {
  if (message === "begin") void begin();
  else void end();
});

async function begin(): Promise<void> {
  await session.post("Profiler.enable");
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  await session.post("Profiler.takePreciseCoverage");
  process.send?.("begun");
  made.clear();
  hook.enable();
}

async function end(): Promise<void> {
  hook.disable();
  const walk = { promises: made.get("PROMISE") ?? 0, timers: made.get("Timeout") ?? 0, ...(await called()) };
  await session.post("Profiler.stopPreciseCoverage");
  process.send?.(walk);
}

/** Functions of `src/` that were called since the coverage was last taken, and the files that they stand in. */
async function called(): Promise<Pick<Walk, "functions" | "files">> {
  const { result } = await session.post("Profiler.takePreciseCoverage");
  const files = new Set<string>();
  let functions = 0;
  for (const script of result) {
    if (!script.url.startsWith(source)) continue;
    const names = script.functions.filter(({ ranges: [whole] }) => whole !== undefined && whole.count > 0);
    if (names.length === 0) continue;
    functions += names.length;
    files.add(fileURLToPath(script.url));
  }
  return { functions, files: files.size };
}

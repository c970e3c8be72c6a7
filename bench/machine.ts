/** What the benchmark ran on. */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";
import { promisify } from "node:util";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  readonly clamd: string;
  readonly clamgate: string;
  /** Over the last minute, before the benchmark began: what else went on. */
  readonly loadBefore: number;
}

export async function describeMachine(): Promise<Machine> {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1e9),
    system: `${type()} ${release()}`,
    node: process.version,
    clamd: await firstLine("clamd", ["--version"]),
    clamgate: `${await packageVersion()}, ${await firstLine("git", ["describe", "--always", "--dirty"])}`,
    loadBefore: loadavg()[0] ?? Number.NaN,
  };
}

async function firstLine(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args);
    return stdout.split("\n")[0]?.trim() ?? "";
  } catch {
    return "unknown"; // not installed, or no repository
  }
}

async function packageVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  return manifest !== null && typeof manifest === "object" && "version" in manifest ? String(manifest.version) : "unknown";
}

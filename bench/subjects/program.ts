/** A program that a benchmark runs beside itself: its output goes to a file, and it is gone when the benchmark is. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

export interface Program extends AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  /** Everything it has written. */
  output(): Promise<string>;
  /** Resolves with what `look` finds, as soon as it finds something. Rejects when the program ends first. */
  until<T>(look: () => Promise<T | null>, timeoutMs?: number): Promise<T>;
}

export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly outputPath: string;
}

const pollMs = 5;
const defaultTimeoutMs = 120_000;

export async function startProgram({ name, command, args, env, outputPath }: ProgramOptions): Promise<Program> {
  const descriptor = openSync(outputPath, "w");
  const child = spawn(command, args, { stdio: ["ignore", descriptor, descriptor], ...(env === undefined ? {} : { env }) });
  closeSync(descriptor);
  const ended = once(child, "exit").catch(() => {}); // it could not be started: told below
  await once(child, "spawn");
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} was not started`);
  // For an end that nobody had time to make orderly. Not SIGKILL: a gateway still has to end its clamd.
  const kill = () => child.kill("SIGTERM");
  process.once("exit", kill);
  const output = () => readFile(outputPath, "utf8");
  return {
    name,
    pid,
    output,
    async until(look, timeoutMs = defaultTimeoutMs) {
      for (const deadline = performance.now() + timeoutMs; ; ) {
        const found = await look();
        if (found !== null) return found;
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${name} ended:\n${await output()}`);
        if (performance.now() > deadline) throw new Error(`${name} took too long:\n${await output()}`);
        await delay(pollMs);
      }
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      await ended;
      process.off("exit", kill);
    },
  };
}

/** A clamd with nobody in front of it: how long it takes to load, and what it weighs. */

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pingClamd } from "./ping-clamd.ts";
import { residentBytes } from "./processes.ts";
import { type Program, startProgram } from "./program.ts";

export interface BareClamd extends AsyncDisposable {
  readonly program: Program;
  readonly socketPath: string;
  /** From its start to its first PONG. */
  readonly loadSeconds: number;
  readonly residentBytes: number | null;
}

export async function startBareClamd(directory: string, databaseDirectory: string): Promise<BareClamd> {
  const socketPath = join(directory, "bare.sock");
  const temporary = join(directory, "tmp");
  const confPath = join(directory, "bare.conf");
  await rm(socketPath, { force: true });
  await mkdir(temporary, { recursive: true });
  const lines = [
    "Foreground yes",
    `LocalSocket ${socketPath}`,
    `DatabaseDirectory ${databaseDirectory}`,
    `TemporaryDirectory ${temporary}`,
    "MaxThreads 3",
    "SelfCheck 0",
    "DisableCache yes",
  ];
  await writeFile(confPath, lines.map((line) => `${line}\n`).join(""));
  const startedAt = performance.now();
  const outputPath = join(directory, "bare.log");
  const program = await startProgram({
    name: "clamd",
    command: "clamd",
    args: ["--foreground", `--config-file=${confPath}`],
    outputPath,
  });
  try {
    await program.until(() => pingClamd(socketPath));
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
  return {
    program,
    socketPath,
    loadSeconds: (performance.now() - startedAt) / 1000,
    residentBytes: await residentBytes(program.pid),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

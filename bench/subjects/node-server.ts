/** Runs one of the yardstick servers, which say where they listen. */

import { join } from "node:path";
import { type Program, startProgram } from "./program.ts";

export type NodeServerName =
  | "parse-server"
  | "null-server"
  | "floor-server"
  | "stream-proxy"
  | "scripted-clamd"
  | "unique-origin";

export interface NodeServer extends AsyncDisposable {
  readonly program: Program;
  readonly url: string;
}

export async function startNodeServer(
  name: NodeServerName,
  directory: string,
  args: readonly string[] = [],
): Promise<NodeServer> {
  const program = await startProgram({
    name,
    command: process.execPath,
    args: [new URL(`./${name}.ts`, import.meta.url).pathname, ...args],
    outputPath: join(directory, `${name}.log`),
  });
  const url = await program.until(async () => /listening on (\S+)/.exec(await program.output())?.[1] ?? null);
  return { program, url, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

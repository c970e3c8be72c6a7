/** The gateway as its users run it: a process of its own, its clamd with it, on loopback. */

import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { processorSeconds } from "./processes.ts";
import { type Program, startProgram } from "./program.ts";

export interface Gateway extends AsyncDisposable {
  readonly program: Program;
  readonly url: string;
  /** Of the download proxy; null where the gateway has none. */
  readonly proxyUrl: string | null;
  /** Of the clamd it supervises; null with a clamd that was given. */
  clamdSocket(): Promise<string | null>;
  /** From its start to its first 200 of `/readyz`, and what it had used of a processor by then. */
  readonly readySeconds: number;
  readonly readyCpuSeconds: number | null;
}

export interface GatewayOptions {
  /** Its state directory, and its log. */
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Writes a `.cpuprofile` there when it ends. */
  readonly profileDirectory?: string | null;
}

/** As `npm start` and the image have it. */
const runtimeFlags = ["--max-semi-space-size=8"];
const main = new URL("../../src/main.ts", import.meta.url).pathname;

/** Resolves when it is ready. */
export async function startGateway({ directory, env = {}, profileDirectory = null }: GatewayOptions): Promise<Gateway> {
  const state = join(directory, "state");
  await mkdir(state, { recursive: true });
  const profile = profileDirectory === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDirectory}`];
  const { PATH = "", HOME = "/" } = process.env;
  const startedAt = performance.now();
  const program = await startProgram({
    name: "gateway",
    command: process.execPath,
    args: [...runtimeFlags, ...profile, main, "serve", "--allow-test-signatures"],
    env: {
      PATH,
      HOME,
      HOST: "127.0.0.1",
      PORT: "0",
      STATE_DIRECTORY: state,
      // No benchmark may reach for real signatures.
      SIGNATURE_CHECKS: "0",
      LOG_FORMAT: "json",
      DOWNLOAD_PROXY_PORT: "off",
      ...env,
    },
    outputPath: join(directory, "gateway.log"),
  });
  try {
    const url = await program.until(async () => /listening on (http:[^\s"]+)/.exec(await program.output())?.[1] ?? null);
    await program.until(async () => ((await fetch(`${url}/readyz`)).status === 200 ? true : null));
    const readySeconds = (performance.now() - startedAt) / 1000;
    const proxyUrl = /download proxy on (http:[^\s"]+)/.exec(await program.output())?.[1] ?? null;
    return {
      program,
      url,
      proxyUrl,
      readySeconds,
      readyCpuSeconds: await processorSeconds(program.pid),
      async clamdSocket() {
        const run = (await readdir(state)).find((entry) => entry.startsWith("run-"));
        return run === undefined ? null : join(state, run, "clamd.sock");
      },
      [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
    };
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
}

/** What the loads play on: a directory, programs that are ended with the load, and a gateway whose residue is looked at. */

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LoadProcess, startLoadProcess } from "../../bench/load/load-process.ts";
import { warmUp } from "../../bench/load/warm-up.ts";
import { startProgram } from "../../bench/subjects/program.ts";
import { type GatewayProcess, startGatewayProcess } from "../e2e/gateway-process.ts";
import { assertNothingLeft } from "../fault/harness/invariants.ts";
import { type Residue, residueOf } from "../fault/harness/residue.ts";
import { type ClientProcess, startClientProcess } from "./clients/client-process.ts";
import type { Findings } from "./criterion.ts";

export interface LoadStage extends AsyncDisposable {
  readonly directory: string;
  /** Of each measured part. */
  readonly seconds: number;
  readonly say: (line: string) => void;
  /** Answers as fast as they are asked for, all of them verdicts. */
  readonly load: LoadProcess;
  clients(): Promise<ClientProcess>;
  /** Resolves with the settings of a gateway that is to use it. */
  scriptedClamd(options: { readonly slots: number; readonly scanMs: number }): Promise<Readonly<Record<string, string>>>;
  /** Resolves with where it listens. */
  server(path: string): Promise<string>;
  /** Ready and warm. */
  gateway(env: Readonly<Record<string, string>>): Promise<WarmGateway>;
}

export interface WarmGateway extends GatewayProcess {
  /** When it was warm and nobody was connected. */
  readonly before: Residue;
  /** Of the clamd that it supervises. */
  clamdSocket(): Promise<string>;
}

export interface LoadStageOptions {
  readonly seconds: number;
  readonly say: (line: string) => void;
}

/** A thread more than the gateway has slots: PING finds one free, unless the gateway sends more than it may. */
const spareThreads = 1;

export async function openLoadStage({ seconds, say }: LoadStageOptions): Promise<LoadStage> {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "clamgate-load-"));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const load = opened.use(await startLoadProcess());
  const held = opened.move();
  let clamds = 0;

  /** @param name among the files of the stage. */
  async function program(name: string, args: readonly string[]): Promise<string> {
    const outputPath = join(directory, `${name}.log`);
    const started = held.use(await startProgram({ name, command: process.execPath, args, outputPath }));
    return await started.until(async () => /listening on (\S+)/.exec(await started.output())?.[1] ?? null);
  }

  return {
    directory,
    seconds,
    say,
    load,
    clients: async () => held.use(await startClientProcess()),
    server: (path) => program("server", [new URL(path, import.meta.url).pathname]),
    async scriptedClamd({ slots, scanMs }) {
      const path = new URL("./servers/frugal-clamd.ts", import.meta.url).pathname;
      clamds += 1;
      const name = `clamd-${clamds}`;
      const numbers = ["--threads", String(slots + spareThreads), "--scan-ms", String(scanMs)];
      const address = await program(name, [path, join(directory, `${name}.sock`), ...numbers]);
      return { CLAMD_PORT: address, CLAMD_SLOTS: String(slots), VERDICT_CACHE: "memory:" };
    },
    async gateway(env) {
      const gateway = held.use(await startGatewayProcess({ env: { DOWNLOAD_PROXY_PORT: "off", ...env } }));
      await gateway.ready();
      await warmUp(load, gateway.url);
      return {
        ...gateway,
        before: await settled(gateway),
        async clamdSocket() {
          const run = (await readdir(gateway.state)).find((entry) => entry.startsWith("run-")) ?? "";
          return join(gateway.state, run, "clamd.sock");
        },
        [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
      };
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** I5 as a line: descriptors, spool files, slots and queue are as they were before the load. */
export async function nothingLeft(findings: Findings, gateway: WarmGateway): Promise<void> {
  const left = await assertNothingLeft(gateway, gateway).then(
    () => [],
    (error: Error) => [error.message],
  );
  findings.none("left behind: descriptors, spool files, slots, queue", left);
}

/** What a gateway that has worked holds when it rests. */
async function settled(gateway: GatewayProcess): Promise<Residue> {
  for (let last = await residueOf(gateway); ; ) {
    const now = await residueOf(gateway);
    if (now.spoolBodies === 0 && now.queueLength === 0 && now.descriptors === last.descriptors) return now;
    last = now;
  }
}

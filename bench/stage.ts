/** What the scenarios play on: the databases, one gateway at a time, and the load process. */

import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { settings } from "../src/config/settings.ts";
import { syntheticDatabase } from "./database/synthetic-database.ts";
import { writeTinyDatabase } from "./database/tiny-database.ts";
import type { LoadProcess } from "./load/load-process.ts";
import { startLoadProcess } from "./load/load-process.ts";
import { warmUp } from "./load/warm-up.ts";
import { type Gateway, startGateway } from "./subjects/gateway.ts";
import { childOf } from "./subjects/processes.ts";

export const databases = ["tiny", "S-real"] as const;
export type DatabaseName = (typeof databases)[number];

export interface Stage extends AsyncDisposable {
  readonly load: LoadProcess;
  /** How often each subject has its turn. */
  readonly rounds: number;
  /** Of one turn. */
  readonly seconds: number;
  readonly isQuick: boolean;
  readonly say: (line: string) => void;
  databaseDirectory(name: DatabaseName): Promise<string>;
  /** A new directory, removed at the end. */
  directory(name: string): Promise<string>;
  /**
   * Ready and warm. The one before is ended, unless it has the same database and settings: two would be in each other's way.
   * @param settings besides the defaults.
   */
  gateway(database: DatabaseName, settings?: Readonly<Record<string, string>>): Promise<RunningGateway>;
  /** What the present gateway has said last that is not about a body: why a scenario did not get to its end. */
  lastWords(): Promise<string>;
  /** Ends the present gateway. */
  clear(): Promise<void>;
}

export interface RunningGateway extends Gateway {
  readonly socketPath: string;
  readonly processes: readonly { readonly name: string; readonly pid: number }[];
}

export interface StageOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly isQuick: boolean;
  readonly profileDirectory: string | null;
  readonly say: (line: string) => void;
}

export async function openStage(options: StageOptions): Promise<Stage> {
  const { say, profileDirectory } = options;
  const root = await mkdtemp(join(tmpdir(), "clamgate-bench-"));
  const load = await startLoadProcess();
  let present: { readonly key: string; readonly gateway: RunningGateway } | null = null;
  let directories = 0;

  async function directory(name: string): Promise<string> {
    directories += 1;
    const path = join(root, `${directories}-${name}`);
    await mkdir(path);
    return path;
  }

  async function databaseDirectory(name: DatabaseName): Promise<string> {
    if (name === "S-real") return syntheticDatabase(say);
    const path = join(root, "tiny");
    await writeTinyDatabase(path);
    return path;
  }

  async function clear(): Promise<void> {
    await present?.gateway[Symbol.asyncDispose]();
    present = null;
  }

  async function gateway(database: DatabaseName, extra: Readonly<Record<string, string>> = {}): Promise<RunningGateway> {
    const key = JSON.stringify([database, extra]);
    if (present?.key === key) return present.gateway;
    await clear();
    const started = await startGateway({
      directory: await directory("gateway"),
      env: { DATABASE_DIRECTORY: await databaseDirectory(database), ...extra },
      profileDirectory,
    });
    const running = await describe(started);
    present = { key, gateway: running };
    await warmUp(load, running.url);
    return running;
  }

  return {
    ...options,
    load,
    databaseDirectory,
    directory,
    gateway,
    async lastWords() {
      const lines = ((await present?.gateway.program.output()) ?? "").trim().split("\n");
      return lines
        .filter((line) => !line.includes('"msg":"scanned"'))
        .slice(-3)
        .join(" / ");
    },
    clear,
    async [Symbol.asyncDispose]() {
      await clear();
      await load[Symbol.asyncDispose]();
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function describe(gateway: Gateway): Promise<RunningGateway> {
  const socketPath = await gateway.clamdSocket();
  const clamd = await childOf(gateway.program.pid, "clamd");
  if (socketPath === null) throw new Error("the gateway has no clamd of its own");
  const own = { name: "gateway", pid: gateway.program.pid };
  return { ...gateway, socketPath, processes: clamd === null ? [own] : [own, { name: "clamd", pid: clamd }] };
}

export function hasDownloadProxy(): boolean {
  return settings.some(({ name }: { readonly name: string }) => name === "DOWNLOAD_PROXY_PORT");
}

/** Bytes of all files in a directory. */
export async function directoryBytes(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(directory)) bytes += (await stat(join(directory, name))).size;
  return bytes;
}

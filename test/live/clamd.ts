/** The installed clamd, alone in a directory of its own, with signatures that only tests know. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ClamdLimits, clamdConf } from "../../src/clamd/clamd-conf.ts";
import { type ClamdAddress, dialClamd } from "../../src/clamd/connection.ts";
import { askReload, type Clamd, eicarCanary, proveClamd } from "../../src/clamd/proof.ts";
import { freePort } from "./free-port.ts";

export const mebibyte = 1024 * 1024;

/** Any body that holds this is found as Clamgate.Test.Marker-1. In two pieces, so that this file is not. */
export const marker = ["CLAMGATE-INFECTED-", "MARKER-0001"].join("");
export const markerName = "Clamgate.Test.Marker-1.UNOFFICIAL";
export const eicar = Buffer.from(eicarCanary().bytes);
export const eicarName = "Eicar-Test-Signature.UNOFFICIAL";
/** All 44 files of Debian's clamav-testfiles hold the one that this names (clamd.md 9.2). */
export const testFileName = "ClamAV-Test-File.UNOFFICIAL";

/** File names and contents of the database directory. */
export const testSignatures: Readonly<Record<string, string>> = {
  "test.ndb": `${bodySignature("Eicar-Test-Signature", eicar)}${bodySignature("Clamgate.Test.Marker-1", marker)}`,
  "test.hsb": "71e7b604d18aefd839e51a39c88df8383bb4c071dc31f87f00a2b5df580d4495:544:ClamAV-Test-File\n",
};

/** One line of an .ndb file that finds `bytes` anywhere in anything. */
export function bodySignature(name: string, bytes: string | Uint8Array): string {
  return `${name}:0:*:${Buffer.from(bytes).toString("hex")}\n`;
}

export const testLimits: ClamdLimits = {
  maxFileSize: 25 * mebibyte,
  maxScanSize: 100 * mebibyte,
  maxScanTimeMs: 60_000,
  maxRecursion: 17,
  maxFiles: 10_000,
  maxEmbeddedPe: 40 * mebibyte,
  maxHtmlNormalize: 40 * mebibyte,
  maxHtmlNoTags: 8 * mebibyte,
  maxScriptNormalize: 20 * mebibyte,
  maxZipTypeRcg: mebibyte,
  maxPartitions: 50,
  maxIconsPe: 100,
  pcreMatchLimit: 100_000,
  pcreRecMatchLimit: 2000,
};

export interface RealClamdOptions {
  /** Default: testSignatures. */
  readonly signatures?: Readonly<Record<string, string>>;
  /** In place of those of testLimits. */
  readonly limits?: Partial<ClamdLimits>;
  /** Scans at once; default 4. */
  readonly slots?: number;
  /** Default unix. */
  readonly listens?: "unix" | "tcp";
  /** Of one that listens on TCP; default: a free one. */
  readonly port?: number;
  /** Lines for clamd.conf that come before those of `clamdConf`: clamd takes the first one of each name. */
  readonly conf?: string;
}

export interface RealClamd extends AsyncDisposable {
  readonly address: ClamdAddress;
  readonly slots: number;
  readonly limits: ClamdLimits;
  /** Absolute and free of links, as everything in it. */
  readonly directory: string;
  readonly databaseDirectory: string;
  readonly temporaryDirectory: string;
  pid(): number;
  /** What it has written, both pipes together. */
  output(): string;
  /** Resolves when it is gone. */
  kill(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** After a kill: at the same address again. Resolves when it detects. */
  start(): Promise<void>;
  /** Writes signatures beside those that are there and asks for a reload; does not wait for it. */
  reload(signatures?: Readonly<Record<string, string>>): Promise<void>;
}

export async function startRealClamd(options: RealClamdOptions = {}): Promise<RealClamd> {
  const program = await findClamd();
  const directory = await realpath(await mkdtemp(join(tmpdir(), "clamgate-clamd-")));
  const { slots = 4, listens = "unix", conf = "", signatures = testSignatures } = options;
  const limits = { ...testLimits, ...options.limits };
  const databaseDirectory = join(directory, "db");
  const temporaryDirectory = join(directory, "tmp");
  const socketPath = join(directory, "clamd.sock");
  const address: ClamdAddress =
    listens === "unix"
      ? { kind: "unix", path: socketPath }
      : { kind: "tcp", host: "127.0.0.1", port: options.port ?? (await freePort()) };
  const clamd: Clamd = { address, dial: dialClamd, canary: eicarCanary(), limits: "" };
  const never = new AbortController().signal;
  let child: ChildProcess | null = null;
  let output = "";

  await mkdir(temporaryDirectory);
  await mkdir(databaseDirectory);
  await write(signatures);
  const tcp = address.kind === "tcp" ? `TCPSocket ${address.port}\nTCPAddr ${address.host}\n` : "";
  const confPath = join(directory, "clamd.conf");
  await writeFile(confPath, `${conf}${tcp}${clamdConf({ socketPath, databaseDirectory, temporaryDirectory, slots, limits })}`);

  async function write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, content] of Object.entries(files)) await writeFile(join(databaseDirectory, name), content);
  }

  async function start(): Promise<void> {
    const started = spawn(program, ["--foreground", `--config-file=${confPath}`], { stdio: ["ignore", "pipe", "pipe"] });
    child = started;
    for (const pipe of [started.stdout, started.stderr]) {
      pipe.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    for (;;) {
      try {
        await proveClamd(clamd, never);
        return;
      } catch (error) {
        if (hasEnded(started)) throw new Error(`clamd did not start: ${output}`, { cause: error });
        await delay(10);
      }
    }
  }

  async function kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    if (child === null || hasEnded(child)) return;
    const gone = once(child, "close");
    child.kill(signal);
    await gone;
  }

  async function remove(): Promise<void> {
    await kill();
    await rm(directory, { recursive: true, force: true });
  }

  try {
    await start();
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    address,
    slots,
    limits,
    directory,
    databaseDirectory,
    temporaryDirectory,
    pid: () => child?.pid ?? 0,
    output: () => output,
    kill,
    start,
    async reload(files = {}) {
      await write(files);
      await askReload(clamd, never);
    },
    [Symbol.asyncDispose]: remove,
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** On PATH, or where systems put programs that are not for everyone's PATH. */
async function findClamd(): Promise<string> {
  const usual = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/local/sbin"];
  for (const directory of [...(process.env.PATH ?? "").split(delimiter), ...usual]) {
    const path = join(directory, "clamd");
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {} // not there: the next one
  }
  throw new Error("clamd is not installed; npm test installs it");
}

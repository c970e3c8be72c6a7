/** `clamgate …` as its users run it: a process of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

export interface Ran {
  /** The exit code, or the signal's name. */
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
}

export const mainPath = new URL("../../src/main.ts", import.meta.url).pathname;

/** Without what the tests' own environment says of gateways. */
export function startCommand(args: readonly string[], { env = {}, cwd, input }: CommandOptions = {}): ChildProcess {
  const { PATH = "", HOME = "/", NODE_COMPILE_CACHE = "", TMPDIR = "/tmp" } = process.env;
  const child = spawn(process.execPath, [mainPath, ...args], {
    env: { PATH, HOME, NODE_COMPILE_CACHE, TMPDIR, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    ...(cwd === undefined ? {} : { cwd }),
  });
  child.stdin?.on("error", () => {}); // it need not read what it is given
  if (input !== undefined) child.stdin?.end(input);
  return child;
}

export async function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<Ran> {
  return await endOf(startCommand(args, { input: "", ...options }));
}

export async function endOf(child: ChildProcess): Promise<Ran> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("its streams are not there");
  const [ended, out, err] = await Promise.all([once(child, "close"), text(stdout), text(stderr)]);
  const [code, signal] = ended as [number | null, string | null];
  return { code: code ?? String(signal), stdout: out, stderr: err };
}

/** What `--format json` writes. */
export interface JsonDocument {
  readonly summary: Readonly<Record<string, number | boolean>>;
  readonly engine: { readonly engine: string } | null;
  readonly results: readonly {
    readonly path: string;
    readonly pathBase64?: string;
    readonly report?: {
      readonly allowed: boolean;
      readonly sha256: string;
      readonly size: number;
      readonly verdict: { readonly kind: string };
    };
    readonly error?: { readonly code: string; readonly message: string };
  }[];
}

export async function scanJson(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<JsonDocument & { readonly code: number | string }> {
  const { code, stdout, stderr } = await runCommand(["scan", "--format", "json", ...args], options);
  if (stdout === "") throw new Error(`nothing was written: ${stderr}`);
  return { ...(JSON.parse(stdout) as JsonDocument), code };
}

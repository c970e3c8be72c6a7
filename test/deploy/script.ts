/** Runs one of deploy's shell scripts with programs of the test's own before all others. */

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deployDirectory } from "./image.ts";

export interface ScriptRun {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/**
 * @param programs shell texts by name, found first on PATH
 * @param scratch a directory for them
 */
export function runScript(
  name: string,
  {
    scratch,
    args,
    env,
    programs,
  }: {
    readonly scratch: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly programs: Readonly<Record<string, string>>;
  },
): ScriptRun {
  const bin = join(scratch, "bin");
  mkdirSync(bin, { recursive: true });
  for (const [program, text] of Object.entries(programs)) {
    writeFileSync(join(bin, program), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, program), 0o755);
  }
  const path = fileURLToPath(new URL(name, deployDirectory));
  const { status, stdout, stderr } = spawnSync("sh", [path, ...args], {
    env: { PATH: `${bin}:/usr/bin:/bin`, TMPDIR: scratch, ...env },
    encoding: "utf8",
  });
  return { code: status, output: stdout, errors: stderr };
}

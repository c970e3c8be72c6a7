/** A directory in which tools make samples. What a tool that is not there would have made is not made. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Longer than any of them takes. */
const toolMs = 60_000;
const mostOutputBytes = 64 * 1024 * 1024;

export class MissingTool extends Error {
  override readonly name = "MissingTool";
}

export class Workshop implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "clamgate-coverage-"));
  #made = 0;

  /** A new directory with these files, by their paths in it. */
  folder(files: Readonly<Record<string, Uint8Array | string>>): string {
    this.#made += 1;
    const path = join(this.directory, `${this.#made}`);
    mkdirSync(path);
    for (const [name, bytes] of Object.entries(files)) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      writeFileSync(join(path, name), bytes);
    }
    return path;
  }

  /** What the tool writes to its standard output. Throws MissingTool, or an Error with what it said. */
  run(
    command: string,
    args: readonly string[],
    { cwd = this.directory, input }: { cwd?: string; input?: Uint8Array } = {},
  ): Buffer {
    const { error, status, stdout, stderr } = spawnSync(command, args, {
      cwd,
      timeout: toolMs,
      maxBuffer: mostOutputBytes,
      env: { ...process.env, LC_ALL: "C", HOME: this.directory },
      ...(input === undefined ? {} : { input }),
    });
    if (error !== undefined && "code" in error && error.code === "ENOENT") throw new MissingTool(command);
    if (error !== undefined || status !== 0) {
      throw new Error(
        `${command} ${args.join(" ")}: ${error?.message ?? `exit ${status}`} ${stderr?.toString().slice(-500) ?? ""}`,
      );
    }
    return stdout;
  }

  /** The file `name` that the tool leaves in that folder. */
  file(name: string, cwd: string, command: string, args: readonly string[]): Buffer {
    this.run(command, args, { cwd });
    return readFileSync(join(cwd, name));
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

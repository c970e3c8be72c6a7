/** A repository in a temporary directory with the real set-up, the real scripts and a stand-in for npm ci. */

import { spawn } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../..", import.meta.url));

export class ScratchRepository {
  /** @type {Set<import("node:child_process").ChildProcess>} */
  #children = new Set();

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), "clamgate-repository-"));
    cpSync(join(repository, "setup"), join(this.path, "setup"), { recursive: true });
    for (const name of ["package.json", "clamgate"]) cpSync(join(repository, name), join(this.path, name));
    this.write("package-lock.json", '{"packages": {}}');
  }

  /** @param {string} path @param {string} text */
  write(path, text) {
    mkdirSync(dirname(join(this.path, path)), { recursive: true });
    writeFileSync(join(this.path, path), text);
  }

  /** An npm in the scratch's own directory, found before the real one. @param {string} script */
  writeNpm(script) {
    this.write("bin/npm", `#!/bin/sh\n${script}\n`);
    chmodSync(join(this.path, "bin/npm"), 0o755);
  }

  /** As npm ci would leave it: the pinned Node is the one that runs the tests. */
  linkNode() {
    mkdirSync(join(this.path, "node_modules/.bin"), { recursive: true });
    symlinkSync(process.execPath, join(this.path, "node_modules/.bin/node"));
  }

  /**
   * @param {string} command
   * @param {readonly string[]} args
   * @returns {{ pid: number, ended: Promise<{ code: number | null, signal: NodeJS.Signals | null }>, until: (text: string) => Promise<void>, output: () => string }}
   */
  start(command, args) {
    const env = {
      ...process.env,
      PATH: `${join(this.path, "bin")}${delimiter}${process.env.PATH}`,
      npm_config_update_notifier: "false",
      NODE_TEST_CONTEXT: undefined, // a test runner that finds itself inside another one runs nothing
    };
    const child = spawn(command, [...args], { cwd: this.path, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    this.#children.add(child);
    let output = "";
    /** @type {Set<() => void>} */
    const listeners = new Set();
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (/** @type {string} */ text) => {
        output += text;
        for (const listener of listeners) listener();
      });
    }
    return {
      pid: child.pid ?? 0,
      output: () => output,
      ended: new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal }))),
      until: (text) =>
        new Promise((resolve, reject) => {
          const look = () => {
            if (!output.includes(text)) return;
            listeners.delete(look);
            resolve();
          };
          listeners.add(look);
          child.once("close", () => reject(new Error(`ended without saying ${text}: ${output}`)));
          look();
        }),
    };
  }

  remove() {
    for (const child of this.#children) {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // ended already, as it should
      }
    }
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A machine in a temporary directory, and a command runner that follows a script, for the set-up's tests. */

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** @typedef {import("../../setup/machine.mjs").Machine} Machine */
/** @typedef {import("../../setup/command.mjs").Run} Run */
/** @typedef {import("../../setup/command.mjs").RunOptions} RunOptions */

/** @typedef {{ code?: number, output?: string, effect?: () => void }} Reply */
/** @typedef {{ line: string, options: RunOptions }} Call */

export const releases = {
  debian: 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
  ubuntu: 'PRETTY_NAME="Ubuntu 24.04 LTS"\nID=ubuntu\nID_LIKE=debian\n',
  alpine: 'PRETTY_NAME="Alpine Linux v3.23"\nID=alpine\n',
  fedora: 'PRETTY_NAME="Fedora Linux 43"\nID=fedora\n',
  rocky: 'PRETTY_NAME="Rocky Linux 9"\nID="rocky"\nID_LIKE="rhel centos fedora"\n',
  plan9: 'PRETTY_NAME="Some Other Linux"\nID=other\n',
};

export class ScratchMachine {
  /** @param {{ release?: string, platform?: string, isRoot?: boolean, env?: Record<string, string> }} [options] */
  constructor({ release, platform = "linux", isRoot = true, env = {} } = {}) {
    this.root = mkdtempSync(join(tmpdir(), "clamgate-setup-"));
    /** @type {Machine} */
    this.machine = {
      platform,
      root: this.root,
      isRoot,
      env: { PATH: "/usr/bin:/bin:/sbin", ...env },
      execPath: process.execPath,
      nodeVersion: process.versions.node,
      pid: process.pid,
    };
    if (release !== undefined) this.write("/etc/os-release", release);
  }

  /** @param {string} path */
  at(path) {
    return join(this.root, path);
  }

  /** @param {string} path @param {string} text */
  write(path, text) {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    writeFileSync(this.at(path), text);
  }

  /** @param {readonly string[]} paths */
  addPrograms(...paths) {
    for (const path of paths) {
      this.write(path, "#!/bin/sh\n");
      chmodSync(this.at(path), 0o755);
    }
  }

  remove() {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/**
 * Answers each command by the first entry whose text its line starts with (entries with `times` used up are passed over);
 * a dpkg-query that no entry knows finds nothing, everything else that no entry knows succeeds.
 * @param {ReadonlyArray<readonly [string, Reply | (() => Reply)]>} [script]
 * @returns {{ run: Run, calls: Call[], lines: () => string[] }}
 */
export function scriptedRun(script = []) {
  /** @type {Call[]} */
  const calls = [];
  return {
    calls,
    lines: () => calls.map((call) => call.line),
    async run(command, args, options = {}) {
      const line = [command, ...args.filter((arg, index) => arg !== "-o" && args[index - 1] !== "-o")].join(" ");
      calls.push({ line, options });
      const entry = script.find(([start]) => line.startsWith(start));
      const reply = typeof entry?.[1] === "function" ? entry[1]() : (entry?.[1] ?? { code: command === "dpkg-query" ? 1 : 0 });
      reply.effect?.();
      return { code: reply.code ?? 0, output: reply.output ?? "", isTimedOut: false, commandLine: line };
    },
  };
}

/** Replies in turn, the last one for ever. @param {readonly Reply[]} replies @returns {() => Reply} */
export function inTurn(...replies) {
  let next = 0;
  return () => replies[Math.min(next++, replies.length - 1)] ?? {};
}

/** Takes down what the set-up shows. */
export function recordedProgress() {
  /** @type {string[]} */
  const shown = [];
  return {
    shown,
    /** @type {import("../../setup/progress.mjs").Progress} */
    progress: {
      async step(label, work) {
        shown.push(label);
        return work();
      },
      note: (text) => void shown.push(text),
    },
  };
}

/** Runs one command to its end, keeps the tail of what it says, and ends it in an orderly way when the set-up is told to stop. */

import { spawn } from "node:child_process";

/**
 * @typedef {object} Outcome
 * @property {number} code the exit code; 127 when the command could not be started, 128 + n when signal n ended it
 * @property {string} output the last 64 KiB of stdout and stderr, as they came
 * @property {boolean} isTimedOut
 * @property {string} commandLine for people
 */

/**
 * @typedef {object} RunOptions
 * @property {Readonly<Record<string, string>>} [env] on top of the machine's own
 * @property {string} [cwd]
 * @property {number} [timeoutMs] 15 minutes unless told
 * @property {boolean} [isAtomic] half of it does harm: a stop waits for its end, up to `atomicGraceMs`
 * @property {boolean} [isCleanup] runs although the set-up was told to stop
 */

/** Never rejects. @typedef {(command: string, args: readonly string[], options?: RunOptions) => Promise<Outcome>} Run */

const tailLength = 64 * 1024;
const defaultTimeoutMs = 15 * 60_000;
const endGraceMs = 10_000;
const drainMs = 250;

/**
 * @param {object} options
 * @param {Readonly<Record<string, string | undefined>>} options.env
 * @param {AbortSignal} options.stop
 * @param {((text: string) => void) | null} options.show gets all output as it comes
 * @param {number} [options.atomicGraceMs] how long a stop waits for an atomic command
 * @returns {Run}
 */
export function createRun({ env, stop, show, atomicGraceMs = 60_000 }) {
  return (command, args, options = {}) =>
    new Promise((resolve) => {
      const commandLine = [command, ...args].join(" ");
      if (stop.aborted && options.isCleanup !== true) {
        resolve({ code: 130, output: "not started: the set-up was told to stop", isTimedOut: false, commandLine });
        return;
      }
      // A group of its own: a terminal's Ctrl-C must not strike a package manager in the middle of its work.
      const child = spawn(command, [...args], {
        cwd: options.cwd,
        env: { ...env, LC_ALL: "C", ...options.env },
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
      });
      let output = "";
      let isTimedOut = false;
      /** @type {Set<NodeJS.Timeout>} */
      const timers = new Set();

      const later = (/** @type {number} */ ms, /** @type {() => void} */ action) => timers.add(setTimeout(action, ms));
      const kill = (/** @type {NodeJS.Signals} */ signal) => {
        try {
          if (child.pid !== undefined) process.kill(-child.pid, signal);
        } catch {
          // the group is gone already
        }
      };
      const end = () => {
        kill("SIGTERM");
        later(endGraceMs, () => kill("SIGKILL"));
      };
      const onStop = () => (options.isAtomic === true ? later(atomicGraceMs, end) : end());
      const settle = (/** @type {number} */ code) => {
        for (const timer of timers) clearTimeout(timer);
        stop.removeEventListener("abort", onStop);
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ code, output, isTimedOut, commandLine });
      };

      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8");
        stream.on("data", (/** @type {string} */ text) => {
          output = (output + text).slice(-tailLength);
          show?.(text);
        });
      }
      if (options.isCleanup !== true) stop.addEventListener("abort", onStop);
      later(options.timeoutMs ?? defaultTimeoutMs, () => {
        isTimedOut = true;
        end();
      });
      child.once("error", (error) => {
        output += `${error.message}\n`;
        settle(127);
      });
      child.once("exit", (code, signal) => {
        const result = code ?? 128 + (signal === null ? 0 : signalNumber(signal));
        // `close` may never come: a daemon that the command started can hold the pipes for ever.
        child.once("close", () => settle(result));
        later(drainMs, () => settle(result));
      });
    });
}

/**
 * @param {NodeJS.Signals} signal
 * @returns {number}
 */
export function signalNumber(signal) {
  switch (signal) {
    case "SIGHUP":
      return 1;
    case "SIGINT":
      return 2;
    case "SIGKILL":
      return 9;
    case "SIGTERM":
      return 15;
    default:
      return 0;
  }
}

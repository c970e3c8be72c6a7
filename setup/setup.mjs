/** The set-up's command line, for any Node from 20 on and before any package is installed: `node setup/setup.mjs --help`. */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { createRun, signalNumber } from "./command.mjs";
import { SetupFailure } from "./failure.mjs";
import { createProgress } from "./progress.mjs";
import { setUp } from "./steps.mjs";

const usage = `Installs what clamgate needs and this machine does not have yet: npm packages, ClamAV.

  node setup/setup.mjs                       for npm start
  node setup/setup.mjs --for-tests           for npm test: redis-server, nginx, haproxy, caddy, promtool, chromium, ClamAV's test files and other JavaScript runtimes too
  node setup/setup.mjs --for-fuzz            for npm run fuzz: the other readers of forms and downloads too
  node setup/setup.mjs --dependencies-only   the npm packages alone
  --verbose                                  show the tools' own output as it comes
`;

const parentPollMs = 250;

process.exitCode = await main(process.argv.slice(2));

/**
 * @param {readonly string[]} args
 * @returns {Promise<number>} the exit code
 */
async function main(args) {
  const unknown = args.filter(
    (arg) => !["--for-tests", "--for-fuzz", "--dependencies-only", "--verbose", "--help"].includes(arg),
  );
  if (unknown.length > 0 || args.includes("--help")) {
    (unknown.length > 0 ? process.stderr : process.stdout).write(usage);
    return unknown.length > 0 ? 1 : 0;
  }
  const isVerbose = args.includes("--verbose");
  const stop = stopOnSignals();
  const write = (/** @type {string} */ text) => void process.stdout.write(text);
  try {
    await setUp({
      machine: {
        platform: process.platform,
        root: "/",
        isRoot: process.getuid?.() === 0,
        env: process.env,
        execPath: process.execPath,
        nodeVersion: process.versions.node,
        pid: process.pid,
      },
      run: createRun({ env: process.env, stop: stop.signal, show: isVerbose ? write : null }),
      progress: createProgress({ write, now: () => performance.now(), isVerbose }),
      directory: dirname(dirname(fileURLToPath(import.meta.url))),
      goal: goalOf(args),
    });
    return 0;
  } catch (error) {
    if (stop.signal.aborted) {
      process.stderr.write("\nset-up: stopped; run the same command again and it goes on from here\n");
      return 128 + signalNumber(stop.signal.reason);
    }
    process.stderr.write(explain(error));
    return 1;
  } finally {
    stop.close();
  }
}

/** @param {readonly string[]} args */
function goalOf(args) {
  if (args.includes("--dependencies-only")) return "dependencies";
  if (args.includes("--for-fuzz")) return "fuzz";
  return args.includes("--for-tests") ? "tests" : "start";
}

/**
 * Aborts, with the signal's name, on the signals that ask a program to end, and when the parent is gone: `npm start` hands
 * a SIGTERM to its shell alone, which dies of it and leaves us behind.
 */
function stopOnSignals() {
  const controller = new AbortController();
  const parent = process.ppid;
  const onSignal = (/** @type {NodeJS.Signals} */ signal) => {
    if (!controller.signal.aborted) process.stderr.write(`\nset-up: ${signal}: stopping as soon as it does no harm\n`);
    controller.abort(signal);
  };
  const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
  for (const signal of signals) process.on(signal, onSignal);
  const poll = setInterval(() => process.ppid !== parent && onSignal("SIGTERM"), parentPollMs);
  poll.unref();
  // A reader that goes away must not end us in the middle of an installation.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  return {
    signal: controller.signal,
    close() {
      clearInterval(poll);
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}

/** @param {unknown} error */
function explain(error) {
  if (error instanceof SetupFailure)
    return `\nset-up stopped at: ${error.step}\n${error.lines.map((line) => `  ${line}\n`).join("")}`;
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `\nset-up stopped by a fault it does not know:\n  ${detail}\n  Then run the same command again: it goes on from here.\n`;
}

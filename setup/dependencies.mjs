/** The npm packages, exactly as package-lock.json has them, and among them the Node that everything else runs on. */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { expectSuccess, SetupFailure } from "./failure.mjs";
import { readIfThere } from "./machine.mjs";
import { findProgram } from "./parts.mjs";

/** @typedef {import("./machine.mjs").Machine} Machine */
/** @typedef {import("./command.mjs").Run} Run */
/** @typedef {import("./progress.mjs").Progress} Progress */

/** --include=dev: NODE_ENV=production would leave out the pinned Node. The rest: without a network, npm's own patience is an hour. */
const ciArguments = [
  ...["ci", "--include=dev", "--no-audit", "--no-fund"],
  ...["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", "--fetch-timeout=60000"],
];

const stampPath = "node_modules/.clamgate-setup";
const runtimesPath = "test/runtimes";
const pinnedNodePath = "node_modules/.bin/node";

/**
 * Runs `npm ci` unless a finished one for this very lock file is there and its Node runs. Rejects with a SetupFailure.
 * @param {object} need
 * @param {Machine} need.machine
 * @param {Run} need.run
 * @param {Progress} need.progress
 * @param {string} need.directory the repository
 */
export async function installDependencies({ machine, run, progress, directory }) {
  const lock = readFileSync(join(directory, "package-lock.json"), "utf8");
  const stamp = createHash("sha256").update(lock).digest("hex");
  const least = leastNode(directory);
  const place = (/** @type {string} */ path) => join(directory, path);
  const isStamped = readIfThere(place(stampPath)) === stamp;
  if (isStamped || isFinishedByNpm(directory, lock)) {
    if ((await pinnedNode(run, directory, least)).isGood) {
      if (!isStamped) writeFileSync(place(stampPath), stamp);
      return;
    }
  }

  const label = "installing the npm packages (npm ci)";
  await progress.step(label, async () => {
    // Away first: an npm ci that ends half-way must not find the word of the one before it.
    rmSync(place(stampPath), { force: true });
    const [command, ...args] = npmCommand(machine, directory, label);
    const env = { PATH: outerPath(machine, directory) };
    expectSuccess(label, await run(command, [...args, ...ciArguments], { cwd: directory, env }));
  });
  const pinned = await pinnedNode(run, directory, least);
  if (!pinned.isGood) useOwnNode(machine, directory, least, pinned.answer);
  mkdirSync(place("node_modules"), { recursive: true });
  writeFileSync(place(stampPath), stamp);
}

/**
 * What the tests try the library on besides: other JavaScript runtimes, an older NestJS. They are large, and so apart from what
 * `npm start` needs; a runtime that this platform has no build of stays away. Rejects with a SetupFailure.
 * @param {object} need
 * @param {Machine} need.machine
 * @param {Run} need.run
 * @param {Progress} need.progress
 * @param {string} need.directory the repository
 */
export async function installRuntimes({ machine, run, progress, directory }) {
  const place = join(directory, runtimesPath);
  const stamp = createHash("sha256")
    .update(readIfThere(join(place, "package-lock.json")))
    .digest("hex");
  if (readIfThere(join(place, stampPath)) === stamp) return;
  const label = "installing other runtimes and frameworks for the tests (npm ci)";
  await progress.step(label, async () => {
    const [command, ...args] = npmCommand(machine, directory, label);
    expectSuccess(
      label,
      await run(command, [...args, ...ciArguments], { cwd: place, env: { PATH: outerPath(machine, directory) } }),
    );
  });
  writeFileSync(join(place, stampPath), stamp);
}

/**
 * An install that npm itself carried to its end, by hand perhaps, is as good as ours: npm writes its hidden lock file last.
 * Packages for other platforms (optional ones) are missing from it, as they should.
 * @param {string} directory
 * @param {string} lock
 */
function isFinishedByNpm(directory, lock) {
  const hidden = readIfThere(join(directory, "node_modules/.package-lock.json"));
  if (hidden === "") return false;
  try {
    const [wanted, found] = [packagesOf(lock), packagesOf(hidden)];
    return Object.entries(wanted).every(
      ([path, entry]) =>
        path === "" ||
        entry.optional === true ||
        (found[path]?.version === entry.version && existsSync(join(directory, path, "package.json"))),
    );
  } catch {
    return false; // cut off in the middle of writing
  }
}

/**
 * @param {string} lock
 * @returns {Record<string, { version?: string, optional?: boolean }>}
 */
function packagesOf(lock) {
  return JSON.parse(lock).packages;
}

/**
 * @param {Run} run
 * @param {string} directory
 * @param {readonly [number, number]} least
 */
async function pinnedNode(run, directory, least) {
  const { code, output } = await run(join(directory, pinnedNodePath), ["--version"], { timeoutMs: 30_000 });
  return { isGood: code === 0 && isAtLeast(output.trim().replace(/^v/, ""), least), answer: output.trim() };
}

/**
 * The pinned Node is built for glibc. Where that does not run (Alpine), the Node that runs this takes its place, if it is new enough.
 * @param {Machine} machine
 * @param {string} directory
 * @param {readonly [number, number]} least
 * @param {string} answer what the pinned Node said instead of its version
 */
function useOwnNode(machine, directory, least, answer) {
  if (!isAtLeast(machine.nodeVersion, least)) {
    throw new SetupFailure("checking the pinned Node", [
      `${pinnedNodePath} does not run here${answer === "" ? "" : ` (${answer})`}, and this machine's own Node is ${machine.nodeVersion}.`,
      "The pinned one is built for glibc and needs npm's install scripts (ignore-scripts must not be set).",
      `Otherwise install Node ${least.join(".")} or newer (Alpine 3.23: apk add nodejs npm), then run the same command again.`,
    ]);
  }
  const path = join(directory, pinnedNodePath);
  mkdirSync(join(directory, "node_modules/.bin"), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(machine.execPath, path);
}

/**
 * npm as this machine has it; when only the npm that started us is at hand, that one, by the Node that runs this.
 * @param {Machine} machine
 * @param {string} directory
 * @param {string} step
 * @returns {[string, ...string[]]}
 */
function npmCommand(machine, directory, step) {
  const npm = findProgram({ ...machine, env: { ...machine.env, PATH: outerPath(machine, directory) } }, "npm");
  if (npm !== null) return [npm];
  const started = machine.env.npm_execpath;
  if (started !== undefined && basename(started) === "npm-cli.js") return [machine.execPath, started];
  throw new SetupFailure(step, ["There is no npm on PATH. Install it (it comes with Node), then run the same command again."]);
}

/**
 * PATH without node_modules/.bin, which `npm start` puts first: npm ci removes the Node that lies there, and must not run on it.
 * @param {Machine} machine
 * @param {string} directory
 */
function outerPath(machine, directory) {
  const own = join(directory, "node_modules/.bin");
  return (machine.env.PATH ?? "")
    .split(delimiter)
    .filter((entry) => entry !== own)
    .join(delimiter);
}

/** `engines.node` of package.json, as `>=24.12`. @param {string} directory @returns {[number, number]} */
function leastNode(directory) {
  const { engines } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  const [major = 0, minor = 0] = String(engines.node).replace(">=", "").split(".").map(Number);
  return [major, minor];
}

/**
 * @param {string} version
 * @param {readonly [number, number]} least
 */
function isAtLeast(version, [major, minor]) {
  const [ownMajor = Number.NaN, ownMinor = Number.NaN] = version.split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** What the gateway and its tests need from the system, which package brings it, and what of it is missing here. */

import { accessSync, constants, readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { at } from "./machine.mjs";

/** @typedef {import("./machine.mjs").Machine} Machine */
/** @typedef {import("./machine.mjs").SystemKind} SystemKind */

/**
 * @typedef {object} Part
 * @property {string} name the program, or for a directory what to call it
 * @property {string | null} directory not a program but this directory, with something in it
 * @property {boolean} isForTests the gateway runs without it
 * @property {Readonly<Partial<Record<SystemKind, readonly string[]>>>} packages no entry: that system has no package of it
 */

/** @type {readonly Part[]} */
const parts = [
  program("clamd", "start", ["clamav-daemon"], ["clamav-daemon"], ["clamd"], ["clamav"]),
  program("freshclam", "start", ["clamav-freshclam"], ["freshclam"], ["clamav-freshclam"], ["clamav"]),
  program("clamscan", "tests", ["clamav"], ["clamav-scanner"], ["clamav"], ["clamav"]),
  program("sigtool", "tests", ["clamav"], ["clamav-scanner"], ["clamav"], ["clamav"]),
  // Alpine and Fedora went from Redis to Valkey; the second package of each brings the name redis-server.
  program("redis-server", "tests", ["redis-server"], ["valkey", "valkey-compat"], ["valkey", "valkey-compat-redis"], ["redis"]),
  program("nginx", "tests", ["nginx"], ["nginx"], ["nginx"], ["nginx"]),
  program("curl", "tests", ["curl"], ["curl"], ["curl"], ["curl"]),
  program("openssl", "tests", ["openssl"], ["openssl"], ["openssl"], ["openssl"]),
  {
    name: "ClamAV's test files",
    directory: "/usr/share/clamav-testfiles",
    isForTests: true,
    packages: { debian: ["clamav-testfiles"] },
  },
];

/** Daemons live where an ordinary user's PATH does not look; Homebrew's places differ by processor. */
const moreDirectories = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
  "/opt/homebrew/sbin",
  "/opt/homebrew/bin",
  "/usr/local/opt/clamav/sbin",
];

/**
 * The parts that are not here, in a fixed order.
 * @param {Machine} machine
 * @param {{ readonly isForTests: boolean }} need
 * @returns {Part[]}
 */
export function missingParts(machine, need) {
  return parts.filter((part) => (need.isForTests || !part.isForTests) && !isHere(machine, part));
}

/**
 * The packages that bring these parts on this kind of system, each once.
 * @param {readonly Part[]} wanted
 * @param {SystemKind} kind
 * @returns {string[]}
 */
export function packagesFor(wanted, kind) {
  return [...new Set(wanted.flatMap((part) => part.packages[kind] ?? []))];
}

/**
 * Where a program is; null when it is nowhere on PATH nor in the usual places for daemons.
 * @param {Machine} machine
 * @param {string} name
 * @returns {string | null}
 */
export function findProgram(machine, name) {
  const onPath = (machine.env.PATH ?? "").split(delimiter).filter((directory) => directory.startsWith("/"));
  for (const directory of [...onPath, ...moreDirectories]) {
    const path = at(machine, join(directory, name));
    if (isExecutable(path)) return path;
  }
  return null;
}

/** @param {Machine} machine @param {Part} part */
function isHere(machine, part) {
  return part.directory === null ? findProgram(machine, part.name) !== null : hasEntries(at(machine, part.directory));
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // not there, or not ours to run: the same to us
  }
}

/** @param {string} path */
function hasEntries(path) {
  try {
    return readdirSync(path).length > 0;
  } catch {
    return false; // not there
  }
}

/**
 * @param {string} name
 * @param {"start" | "tests"} use
 * @param {readonly string[]} debian
 * @param {readonly string[]} alpine
 * @param {readonly string[]} fedora
 * @param {readonly string[]} macos
 * @returns {Part}
 */
function program(name, use, debian, alpine, fedora, macos) {
  return { name, directory: null, isForTests: use === "tests", packages: { debian, alpine, fedora, macos } };
}

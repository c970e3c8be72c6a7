/** What the gateway and its tests need from the system, which package brings it, and what of it is missing here. */

import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { at } from "./machine.mjs";

/** @typedef {import("./machine.mjs").Machine} Machine */
/** @typedef {import("./machine.mjs").SystemKind} SystemKind */

/**
 * @typedef {object} Part
 * @property {string} name
 * @property {(machine: Machine) => boolean} isHere
 * @property {boolean} isForTests the gateway runs without it
 * @property {readonly SystemKind[] | null} onlyOn the systems where it is wanted; null: on all
 * @property {Readonly<Partial<Record<SystemKind, readonly string[]>>>} packages no entry: that system has no package of it
 */

/** Where Debian's package puts ClamAV's test files, and where the tests look for them. */
export const testFilesDirectory = "/usr/share/clamav-testfiles";

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
  program("wget", "tests", ["wget"], ["wget"], ["wget"], ["wget"]),
  program("aria2c", "tests", ["aria2"], ["aria2"], ["aria2"], ["aria2"]),
  program("openssl", "tests", ["openssl"], ["openssl"], ["openssl"], ["openssl"]),
  {
    // The pinned Node is linked with it, and a small Debian or Fedora comes without. Elsewhere nothing says whose package it is.
    name: "libatomic.so.1",
    isHere: (machine) => findLibrary(machine, "libatomic.so.1"),
    isForTests: false,
    onlyOn: ["debian", "fedora"],
    packages: { debian: ["libatomic1"], fedora: ["libatomic"] },
  },
  {
    // A yardstick of the benchmark, which goes on without it.
    name: "clamdscan",
    isHere: (machine) => findProgram(machine, "clamdscan") !== null,
    isForTests: true,
    onlyOn: ["debian"],
    packages: { debian: ["clamdscan"] },
  },
  {
    name: "ClamAV's test files",
    isHere: (machine) => entries(at(machine, testFilesDirectory)).length > 0,
    isForTests: true,
    onlyOn: null,
    packages: { debian: ["clamav-testfiles"] },
  },
];

/** Daemons live where an ordinary user's PATH does not look. The same places as in src/program.ts, or one would find what the other misses. */
const moreDirectories = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/homebrew/bin"];

/**
 * @param {{ readonly kind: SystemKind, readonly isForTests: boolean }} need
 * @returns {Part[]}
 */
export function wantedParts({ kind, isForTests }) {
  return parts.filter((part) => (isForTests || !part.isForTests) && (part.onlyOn === null || part.onlyOn.includes(kind)));
}

/**
 * The wanted parts that are not here, in a fixed order.
 * @param {Machine} machine
 * @param {{ readonly kind: SystemKind, readonly isForTests: boolean }} need
 * @returns {Part[]}
 */
export function missingParts(machine, need) {
  return wantedParts(need).filter((part) => !part.isHere(machine));
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

/**
 * In the directories of ld.so(8): /usr/lib64, or Debian's one for each architecture.
 * @param {Machine} machine
 * @param {string} name
 */
function findLibrary(machine, name) {
  const bases = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
  const nested = bases.flatMap((base) =>
    entries(at(machine, base))
      .filter((entry) => entry.includes("-linux-gnu"))
      .map((entry) => `${base}/${entry}`),
  );
  return [...bases, ...nested].some((directory) => existsSync(at(machine, `${directory}/${name}`)));
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
function entries(path) {
  try {
    return readdirSync(path);
  } catch {
    return []; // not there
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
  return {
    name,
    isHere: (machine) => findProgram(machine, name) !== null,
    isForTests: use === "tests",
    onlyOn: null,
    packages: { debian, alpine, fedora, macos },
  };
}

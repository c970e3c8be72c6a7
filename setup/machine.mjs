/** What kind of machine this is, read from a file system root and an environment that the caller names. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {object} Machine
 * @property {string} platform as `process.platform`
 * @property {string} root the file system's root: `/`, or a test's directory
 * @property {boolean} isRoot may install packages for the whole machine
 * @property {Readonly<Record<string, string | undefined>>} env
 * @property {string} execPath the Node that runs the set-up
 * @property {string} nodeVersion its version, as `20.11.1`
 * @property {number} pid the set-up's own process
 */

/** @typedef {"debian" | "alpine" | "fedora" | "macos" | "unknown"} SystemKind */

/**
 * A family of systems that share one package manager, and the name to show.
 * @typedef {{ readonly kind: SystemKind, readonly name: string }} System
 */

/**
 * Tells the family by os-release(5): `ID` first, then `ID_LIKE`, so that derivatives (Ubuntu, Rocky) are found too.
 * @param {Machine} machine
 * @returns {System}
 */
export function detectSystem(machine) {
  if (machine.platform === "darwin") return { kind: "macos", name: "macOS" };
  if (machine.platform !== "linux") return { kind: "unknown", name: machine.platform };
  const release = readRelease(machine);
  const name = release.get("PRETTY_NAME") ?? release.get("ID") ?? "an unknown Linux";
  const words = [release.get("ID") ?? "", ...(release.get("ID_LIKE") ?? "").split(" ")];
  for (const word of words) {
    if (word === "debian" || word === "ubuntu") return { kind: "debian", name };
    if (word === "alpine") return { kind: "alpine", name };
    if (word === "fedora" || word === "rhel" || word === "centos") return { kind: "fedora", name };
  }
  return { kind: "unknown", name };
}

/**
 * The place of an absolute path on this machine.
 * @param {Machine} machine
 * @param {string} path
 */
export function at(machine, path) {
  return join(machine.root, path);
}

/** @param {Machine} machine @returns {Map<string, string>} */
function readRelease(machine) {
  /** @type {Map<string, string>} */
  const fields = new Map();
  for (const line of readIfThere(at(machine, "/etc/os-release")).split("\n")) {
    const equals = line.indexOf("=");
    if (equals > 0) fields.set(line.slice(0, equals), line.slice(equals + 1).replaceAll(/^["']|["']$/g, ""));
  }
  return fields;
}

/**
 * The text of a file; empty when it is not there or not readable, which all callers treat alike.
 * @param {string} path
 */
export function readIfThere(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

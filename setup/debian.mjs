/** Installs packages with apt-get: from the lists at hand, with fresh lists where those are old or do not do, and goes on after an interruption. */

import { readdirSync, statSync } from "node:fs";
import { causeOf, commandFailure, expectSuccess, SetupFailure } from "./failure.mjs";
import { at } from "./machine.mjs";
import { holdServices } from "./services.mjs";

/** @typedef {import("./machine.mjs").Machine} Machine */
/** @typedef {import("./command.mjs").Run} Run */
/** @typedef {import("./progress.mjs").Progress} Progress */

/** apt.conf(5), dpkg(1): wait two minutes for another apt, give up on a dead network soon, ask nothing, keep the operator's files. */
const options = [
  ...["-o", "DPkg::Lock::Timeout=120"],
  ...["-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20", "-o", "Acquire::Retries=2"],
  ...["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Use-Pty=0"],
];

/** Without the second, Ubuntu's needrestart would restart services that are none of our business. */
const env = { DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_SUSPEND: "1" };

/**
 * Rejects with a SetupFailure. The new packages' services are neither running nor enabled afterwards, also when it rejects.
 * @param {object} need
 * @param {Machine} need.machine
 * @param {Run} need.run
 * @param {Progress} need.progress
 * @param {readonly string[]} need.packages
 * @param {boolean} need.isInterrupted an installation of ours ended half-way; dpkg's own sign of one is looked for anyway
 */
export async function installWithApt({ machine, run, progress, packages, isInterrupted }) {
  const hold = await holdServices({ machine, run });
  try {
    if (isInterrupted || isDpkgInterrupted(machine)) {
      // Not the last word: packages that wait for one not yet unpacked fail here, and apt-get brings them in order.
      const configure = () => run("dpkg", ["--force-confdef", "--force-confold", "--configure", "-a"], { env, isAtomic: true });
      await progress.step("finishing an interrupted package installation (dpkg --configure -a)", configure, hasSucceeded);
    }
    await download(machine, run, progress, packages);
    const label = `installing ${packages.join(", ")}`;
    await progress.step(label, async () => {
      expectSuccess(label, await run("apt-get", installArguments(packages), { env, isAtomic: true }));
    });
  } finally {
    await hold.release();
  }
}

/**
 * For a person to type, one command each; the update is asked for only where there are no lists at all.
 * @param {Machine} machine
 * @param {readonly string[]} packages
 * @returns {string[]}
 */
export function aptCommands(machine, packages) {
  const install = `sudo apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  const hasLists = entries(at(machine, "/var/lib/apt/lists")).some((name) => name.includes("_Packages"));
  return hasLists ? [install] : ["sudo apt-get update", install];
}

/**
 * Apart from the installation, so that a stale list or a dead network is told from a fault of dpkg, and so that a stop at
 * this point is harmless.
 * @param {Machine} machine
 * @param {Run} run
 * @param {Progress} progress
 * @param {readonly string[]} packages
 */
async function download(machine, run, progress, packages) {
  const label = `downloading ${packages.join(", ")}`;
  const fetch = () => run("apt-get", ["--download-only", ...installArguments(packages)], { env });
  // A dry run needs no network: it fails where the lists are empty or do not know the packages.
  const areListed = (await run("apt-get", ["--simulate", ...installArguments(packages)], { env })).code === 0;
  if (areListed && !areOld(machine)) {
    const first = await progress.step(label, fetch, hasSucceeded);
    if (first.code === 0) return;
    const cause = causeOf(first);
    if (cause === "locked" || cause === "disk") throw commandFailure(label, first);
    // Lists age: the version they name may have left the mirror.
  }
  const update = await progress.step(
    "updating the package lists (apt-get update)",
    () => run("apt-get", [...options, "-o", "APT::Update::Error-Mode=any", "update"], { env }),
    hasSucceeded,
  );
  // One broken source among several fails the update, and yet the packages may be had.
  await progress.step(label, async () => {
    const second = await fetch();
    if (second.code === 0) return;
    if (update.code === 0) throw commandFailure(label, second);
    const [first, then] = [commandFailure("updating the package lists", update), commandFailure(label, second)];
    // Both tools' words, and the advice for the first: the second fails for want of what the update would have brought.
    throw new SetupFailure(first.step, [...first.lines.slice(0, -2), ...then.lines.slice(0, -2), ...first.lines.slice(-2)]);
  });
}

/** @param {import("./command.mjs").Outcome} outcome */
function hasSucceeded({ code }) {
  return code === 0;
}

/** @param {readonly string[]} packages */
function installArguments(packages) {
  return [...options, "install", "-y", "--fix-broken", "--no-install-recommends", ...packages];
}

const dayMs = 24 * 60 * 60_000;

/**
 * apt touches the directory at each update. An image may be months old, and its lists name a ClamAV whose faults have been mended since.
 * @param {Machine} machine
 */
function areOld(machine) {
  const lists = statSync(at(machine, "/var/lib/apt/lists"), { throwIfNoEntry: false });
  return lists !== undefined && Date.now() - lists.mtimeMs > dayMs;
}

/** The very sign by which apt-get refuses to work: dpkg's journal is not empty. @param {Machine} machine */
function isDpkgInterrupted(machine) {
  return entries(at(machine, "/var/lib/dpkg/updates")).some((name) => /^\d+$/.test(name));
}

/** @param {string} directory */
function entries(directory) {
  try {
    return readdirSync(directory);
  } catch {
    return []; // not there
  }
}

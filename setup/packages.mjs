/** Brings the missing parts by the system's package manager, or says exactly what a person has to type. */

import { aptCommands, installWithApt } from "./debian.mjs";
import { expectSuccess, SetupFailure } from "./failure.mjs";
import { detectSystem } from "./machine.mjs";
import { findProgram, missingParts, packagesFor, testFilesDirectory, wantedParts } from "./parts.mjs";
import { disableCommand, isHoldLeftBehind } from "./services.mjs";

/** @typedef {import("./machine.mjs").Machine} Machine */
/** @typedef {import("./machine.mjs").SystemKind} SystemKind */
/** @typedef {import("./command.mjs").Run} Run */
/** @typedef {import("./progress.mjs").Progress} Progress */
/** @typedef {import("./parts.mjs").Part} Part */

/** @type {Readonly<Record<Exclude<SystemKind, "unknown">, string>>} */
const managers = { debian: "apt-get", alpine: "apk", fedora: "dnf", macos: "brew" };

/**
 * Installs what is missing; does nothing, quickly, when nothing is. Rejects with a SetupFailure.
 * @param {object} need
 * @param {Machine} need.machine
 * @param {Run} need.run
 * @param {Progress} need.progress
 * @param {import("./parts.mjs").Goal} need.goal
 */
export async function installParts({ machine, run, progress, goal }) {
  const { kind, name } = detectSystem(machine);
  const missing = missingParts(machine, { kind, goal });
  // What a killed set-up unpacked is here, and yet may lack its configuration: then all of it is gone over again.
  const isInterrupted = kind === "debian" && machine.isRoot && isHoldLeftBehind(machine);
  if (missing.length === 0 && !isInterrupted) return;
  const step = missing.length > 0 ? `installing ${namesOf(missing)}` : "finishing an interrupted installation";
  if (kind === "unknown" || findProgram(machine, managers[kind]) === null) throw unknownSystem(step, name, missing);

  const packages = packagesFor(isInterrupted ? wantedParts({ kind, goal }) : missing, kind);
  if (packages.length > 0) {
    refuseWithoutRight(step, kind, machine, packages);
    if (kind === "debian") await installWithApt({ machine, run, progress, packages, isInterrupted });
    else await installAtOnce(kind, { run, progress, packages });
  }

  const still = missingParts(machine, { kind, goal });
  const unobtainable = still.filter((part) => part.packages[kind] === undefined);
  const lost = still.filter((part) => !unobtainable.includes(part));
  if (lost.length > 0) {
    throw new SetupFailure(step, [
      `${managers[kind]} reported success for ${packages.join(", ")}, but ${namesOf(lost)} is still not to be found.`,
      "Look whether the package was installed whole, and whether its programs are on PATH.",
    ]);
  }
  if (unobtainable.length > 0) tellUnobtainable(step, name, unobtainable, machine, progress);
}

/**
 * Only Debian's packages start services as they are installed; the others' are off until somebody turns them on.
 * @param {"alpine" | "fedora" | "macos"} kind
 * @param {{ readonly run: Run, readonly progress: Progress, readonly packages: readonly string[] }} need
 */
async function installAtOnce(kind, { run, progress, packages }) {
  const [command = "", ...args] = installCommand(kind, packages);
  const label = `installing ${packages.join(", ")} (${command})`;
  // brew can be stopped at any point; apk and dnf are in the middle of a transaction.
  await progress.step(label, async () => expectSuccess(label, await run(command, args, { isAtomic: kind !== "macos" })));
}

/**
 * @param {"alpine" | "fedora" | "macos"} kind
 * @param {readonly string[]} packages
 * @returns {string[]}
 */
function installCommand(kind, packages) {
  switch (kind) {
    case "alpine":
      return ["apk", "add", "--wait", "120", "--update-cache", "--no-progress", ...packages];
    case "fedora":
      return ["dnf", "install", "-y", "--setopt=install_weak_deps=False", ...packages];
    case "macos":
      return ["brew", "install", ...packages];
  }
}

/**
 * Never calls sudo by itself: what is done as root is the operator's decision, each time.
 * @param {string} step
 * @param {Exclude<SystemKind, "unknown">} kind
 * @param {Machine} machine
 * @param {readonly string[]} packages
 */
function refuseWithoutRight(step, kind, machine, packages) {
  if (kind === "macos") {
    if (!machine.isRoot) return;
    throw new SetupFailure(step, [
      "Homebrew refuses to run as root. As your own user, run:",
      `  brew install ${packages.join(" ")}`,
    ]);
  }
  if (machine.isRoot) return;
  const commands = kind === "debian" ? aptCommands(machine, packages) : [`sudo ${installCommand(kind, packages).join(" ")}`];
  const advice = [
    "This needs root's rights, and the set-up does not take them by itself. Run:",
    ...commands.map((command) => `  ${command}`),
  ];
  const disable = kind === "debian" ? disableCommand(machine, packages) : null;
  if (disable !== null)
    advice.push(
      "Debian starts services of its own with these, which would run beside the gateway's. To turn them off:",
      `  ${disable}`,
    );
  throw new SetupFailure(step, [...advice, "Then run the same command again."]);
}

/**
 * @param {string} step
 * @param {string} name
 * @param {readonly Part[]} missing
 */
function unknownSystem(step, name, missing) {
  return new SetupFailure(step, [
    `The set-up knows apt-get (Debian, Ubuntu), apk (Alpine), dnf (Fedora, RHEL) and brew (macOS), and finds none of them on ${name}.`,
    `Install these so that they are on PATH: ${namesOf(missing)}.`,
    "clamd and freshclam come with ClamAV (https://www.clamav.net/downloads). Then run the same command again.",
  ]);
}

/**
 * @param {string} step
 * @param {string} name
 * @param {readonly Part[]} parts
 * @param {Machine} machine
 * @param {Progress} progress
 */
function tellUnobtainable(step, name, parts, machine, progress) {
  for (const part of parts) {
    const text = `${name} has no package of ${part.name}. Debian's clamav-testfiles has them: put its files into ${testFilesDirectory}`;
    if (machine.env.CI === "true") throw new SetupFailure(step, [`${text}.`, "With CI=true a missing part is a failure."]);
    progress.note(`${text}; tests that need them fail without.`);
  }
}

/** @param {readonly Part[]} parts */
function namesOf(parts) {
  return parts.map((part) => part.name).join(", ");
}

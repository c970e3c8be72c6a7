/** The order of the set-up: what the system must bring first, since that may need a person, then the npm packages. */

import { installDependencies, installRuntimes } from "./dependencies.mjs";
import { installParts } from "./packages.mjs";

/**
 * @typedef {object} SetupOptions
 * @property {import("./machine.mjs").Machine} machine
 * @property {import("./command.mjs").Run} run
 * @property {import("./progress.mjs").Progress} progress
 * @property {string} directory the repository
 * @property {"start" | "tests" | "fuzz" | "dependencies"} goal
 */

/**
 * Each step looks first and does only what is missing, so running it again is quick and goes on where it stopped.
 * Rejects with a SetupFailure.
 * @param {SetupOptions} options
 */
export async function setUp({ machine, run, progress, directory, goal }) {
  if (goal !== "dependencies") await installParts({ machine, run, progress, goal });
  await installDependencies({ machine, run, progress, directory });
  if (goal === "tests" || goal === "fuzz") await installRuntimes({ machine, run, progress, directory });
}

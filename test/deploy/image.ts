/** What deploy/Dockerfile's last stage says about the image, for the tests of whatever runs it. */

import { readConfig } from "../../src/config/read-config.ts";
import { type Config, settings } from "../../src/config/settings.ts";
import { assignments, readDockerfile, textOf } from "./dockerfile.ts";

/** Node.js's own, no settings of ours. */
const runtimeVariables: ReadonlySet<string> = new Set(["NODE_ENV", "NODE_OPTIONS"]);

export const deployDirectory = new URL("../../deploy/", import.meta.url);

/** The image's own environment. */
export function imageEnvironment(): Readonly<Record<string, string>> {
  const image = readDockerfile(new URL("Dockerfile", deployDirectory)).stages.at(-1);
  if (image === undefined) throw new Error("there is no stage");
  return assignments(textOf(image, "ENV"));
}

/** The configuration of a container with this environment on top of the image's; throws with every fault in it. */
export function configInImage(environment: Readonly<Record<string, string>>): Config {
  const all = { ...imageEnvironment(), ...environment };
  const names = new Set<string>(settings.map(({ name }) => name));
  const strangers = Object.keys(all).filter((name) => !names.has(name) && !runtimeVariables.has(name));
  if (strangers.length > 0) throw new Error(`no settings: ${strangers.join(", ")}`);
  const reading = readConfig(all, { cwd: "/opt/clamgate", cores: 4 });
  if (reading.kind === "faults") throw new Error(reading.faults.join("\n"));
  return reading.config;
}

/** Every directory that the gateway writes with that configuration. */
export function writtenDirectories(config: Config): readonly string[] {
  const cache = config.VERDICT_CACHE.kind === "sqlite" ? [config.VERDICT_CACHE.path] : [];
  const signatures = config.SIGNATURE_CHECKS > 0 ? [config.DATABASE_DIRECTORY] : [];
  return [config.STATE_DIRECTORY, config.SPOOL_DIRECTORY, ...cache, ...signatures];
}

/** Whether the innermost of these mounts around the path can be written. */
export function isWritable(path: string, mounts: readonly { readonly path: string; readonly isReadOnly: boolean }[]): boolean {
  const around = mounts.filter((mount) => path === mount.path || path.startsWith(`${mount.path}/`));
  const [innermost] = around.toSorted((one, other) => other.path.length - one.path.length);
  return innermost !== undefined && !innermost.isReadOnly;
}

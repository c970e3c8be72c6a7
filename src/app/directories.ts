/** The directories that settings name, made before anything uses them: which setting was wrong is known here and nowhere deeper. */

import { mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Config } from "../config/settings.ts";
import { systemCodeOf } from "../core/errors.ts";
import { settingFault } from "./setting-fault.ts";

type Named = Pick<Config, "STATE_DIRECTORY" | "SPOOL_DIRECTORY" | "VERDICT_CACHE">;

/** A directory of its own: what is mounted may belong to another user, or hold what is not ours. */
export function spoolDirectoryOf({ SPOOL_DIRECTORY }: Pick<Config, "SPOOL_DIRECTORY">): string {
  return join(SPOOL_DIRECTORY, "bodies");
}

/** Rejects with an Error for the operator. */
export async function makeSettingDirectories(config: Named): Promise<void> {
  const { STATE_DIRECTORY: state, SPOOL_DIRECTORY: spool, VERDICT_CACHE: cache } = config;
  await make("STATE_DIRECTORY", state, state);
  await make("SPOOL_DIRECTORY", spool, spoolDirectoryOf(config));
  if (cache.kind === "sqlite") await make("VERDICT_CACHE", cache.path, dirname(cache.path));
}

/**
 * DATABASE_DIRECTORY, or the one that FRESHCLAM_CONF names. Where we lack the right to make it somebody else may have it, and it is
 * waited for.
 */
export async function makeDatabaseDirectory(setting: "DATABASE_DIRECTORY" | "FRESHCLAM_CONF", directory: string): Promise<void> {
  try {
    await makeDirectory(directory);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code !== "EROFS" && code !== "EACCES" && code !== "EPERM") throw unusable(setting, directory, error);
  }
}

/**
 * Makes it with its parents. Rejects with the system's error. Node's own recursive mkdir never comes back where the parent is there and
 * no child can be, as below /proc: it takes the child's ENOENT for the parent's, again and again (node 26.10).
 * @param path absolute; `mode` is that of each directory that is made.
 */
export async function makeDirectory(path: string, mode = 0o777): Promise<void> {
  if (await isDirectory(path)) return;
  await makeDirectory(dirname(path), mode);
  try {
    await mkdir(path, { mode });
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!(await isDirectory(path))) throw error;
  }
}

async function make(setting: string, value: string, directory: string): Promise<void> {
  try {
    await makeDirectory(directory, 0o700);
  } catch (error) {
    throw unusable(setting, value, error);
  }
}

function unusable(setting: string, value: string, error: unknown): Error {
  return settingFault(setting, `${value} cannot be used by user ${process.getuid?.() ?? "this user"}`, error);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}

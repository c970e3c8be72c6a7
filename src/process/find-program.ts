/** Where the ClamAV programs are: system directories are not on every PATH. */

import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";

const systemDirectories = [
  "/usr/sbin",
  "/usr/local/sbin",
  "/usr/bin",
  "/usr/local/bin",
  "/opt/homebrew/sbin",
  "/opt/homebrew/bin",
];

/** The absolute path of the first one found; null when there is none. */
export async function findProgram(name: string, searchPath: string | undefined): Promise<string | null> {
  const directories = [
    ...(searchPath ?? "").split(delimiter).filter((directory) => directory.startsWith("/")),
    ...systemDirectories,
  ];
  for (const directory of directories) {
    const path = join(directory, name);
    if (await isExecutable(path)) return path;
  }
  return null;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false; // not here, or not for us
  }
}

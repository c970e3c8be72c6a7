/** Makes a directory with its parents, or says why not. */

import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Rejects with the system's error. Node's own recursive mkdir never comes back where the parent is there and no child can be, as
 * below /proc: it takes the child's ENOENT for the parent's, again and again (node 26.10).
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

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}

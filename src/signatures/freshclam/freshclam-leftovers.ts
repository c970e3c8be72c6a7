/** What a freshclam that was killed leaves in the database directory: half a download, which nobody would ever remove. */

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** Does `work` and then removes the temporary directories that it has left; those of another freshclam, there before, stay. */
export async function removingLeftovers<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const before = new Set(await temporary(directory));
  try {
    return await work();
  } finally {
    for (const name of await temporary(directory)) {
      // What cannot be removed is removed by nobody: the next download says why it fails, if it does.
      if (!before.has(name)) await rm(join(directory, name), { recursive: true, force: true }).catch(() => {});
    }
  }
}

/** libfreshclam makes `tmp.` and ten hexadecimal digits. */
async function temporary(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(() => [])).filter((name) => /^tmp\.[0-9a-f]{10}$/.test(name));
}

/** When the signatures on disk last changed (statement 57 of the REST contract: clamav-rest's metric). */

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "./signature-files.ts";

/** Whole seconds since 1970: the newest mtime of a .cld, .cvd or .cud file in `directory`; 0 when there is none or the directory cannot be read. */
export async function newestDatabaseSeconds(directory: string): Promise<number> {
  let newest = 0;
  for (const name of await readdir(directory).catch(() => [])) {
    if (!/\.(?:cld|cvd|cud)$/i.test(name)) continue;
    try {
      const stats = await stat(join(directory, name));
      if (stats.isFile()) newest = Math.max(newest, Math.floor(stats.mtimeMs / 1000));
    } catch (error) {
      // Replaced at this moment: the next look sees the new one.
      if (!isMissing(error)) throw error;
    }
  }
  return newest;
}

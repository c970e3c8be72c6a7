/** The smallest set of signatures that is one: what is measured with it is everything but the matching. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** ClamAV's own test file, by its digest. */
const line = "71e7b604d18aefd839e51a39c88df8383bb4c071dc31f87f00a2b5df580d4495:544:ClamAV-Test-File\n";

export async function writeTinyDatabase(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "tiny.hsb"), line);
}

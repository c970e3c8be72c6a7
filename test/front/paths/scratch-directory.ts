/** A directory that is gone after the test, with the files that it names. */

import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface ScratchDirectory extends AsyncDisposable {
  readonly path: string;
  at(name: string): string;
}

/** @param files names (with directories) and contents. */
export async function scratchDirectory(files: Readonly<Record<string, string>>): Promise<ScratchDirectory> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "clamgate-rest-")));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return { path, at: (name) => join(path, name), [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A directory that is there for one test. */

import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ScratchDirectory extends AsyncDisposable {
  /** Absolute and free of links. */
  readonly path: string;
}

export async function scratchDirectory(): Promise<ScratchDirectory> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "clamgate-")));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

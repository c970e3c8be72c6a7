/** A temporary directory, with the files that it names: for one test, or for all of a suite. */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before } from "node:test";

interface Directory {
  /** Absolute and free of links. */
  readonly path: string;
  at(...names: readonly string[]): string;
}

export interface ScratchDirectory extends Directory, AsyncDisposable {}

/** @param files names (with directories) and contents. */
export async function scratchDirectory(files: Readonly<Record<string, string>> = {}): Promise<ScratchDirectory> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "clamgate-")));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return {
    path,
    at: (...names) => join(path, ...names),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 }), // somebody may still write
  };
}

/** To be called in a suite, before what needs the directory. It is there while the suite's hooks and tests run. */
export function suiteDirectory(): Directory {
  let made: ScratchDirectory | null = null;
  before(async () => {
    made = await scratchDirectory();
  });
  after(() => made?.[Symbol.asyncDispose]());
  const found = () => made ?? assert.fail("the suite has not begun");
  return {
    get path() {
      return found().path;
    },
    at: (...names) => found().at(...names),
  };
}

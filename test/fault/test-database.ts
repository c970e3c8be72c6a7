/** A directory of test signatures for a gateway of its own, so that it counts them as real ones. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testSignatures } from "../live/clamd.ts";

export interface TestDatabase extends AsyncDisposable {
  /** DATABASE_DIRECTORY. */
  readonly path: string;
}

export async function testDatabase(): Promise<TestDatabase> {
  const path = await mkdtemp(join(tmpdir(), "clamgate-signatures-"));
  for (const [name, text] of Object.entries(testSignatures)) await writeFile(join(path, name), text);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

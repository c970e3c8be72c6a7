/** Puts the library's reference into client/docs/reference.md. */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { clientReference } from "./client-reference.ts";

const root = new URL("../", import.meta.url).pathname;
const directory = await mkdtemp(join(tmpdir(), "clamgate-reference-"));
try {
  const tsc = join(root, "node_modules/.bin/tsc");
  await promisify(execFile)(process.execPath, [tsc, "-p", join(root, "client"), "--emitDeclarationOnly", "--outDir", directory]);
  await mkdir(join(root, "client/docs"), { recursive: true });
  await writeFile(join(root, "client/docs/reference.md"), await clientReference(directory));
} finally {
  await rm(directory, { recursive: true });
}

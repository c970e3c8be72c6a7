/** The built-in test signatures: EICAR and ClamAV's own test file, for trying things out where no real ones can be had. */

import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "./signature-files.ts";

/** In two pieces: whole, it would have every scanner stop at this file. */
const eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].join("");

/**
 * EICAR as its authors define it: at the start of a file of 68 to 128 bytes, the rest of it blanks or line ends. A body
 * signature, since a hash would miss the line end that most editors add; bound to the start and the size, since a text that
 * only quotes it is no test file. The other is the SHA-256 of the 544 bytes inside all of clamav-testfiles.
 */
const files: Readonly<Record<string, string>> = {
  "clamgate-test.ldb": `Eicar-Test-Signature;Engine:81-255,FileSize:68-128,Target:0;0;0:${Buffer.from(eicar).toString("hex")}\n`,
  "clamgate-test.hsb": "71e7b604d18aefd839e51a39c88df8383bb4c071dc31f87f00a2b5df580d4495:544:ClamAV-Test-File\n",
};

export function isTestFile(name: string): boolean {
  return name.startsWith("clamgate-test.");
}

/** Puts the test signatures into `directory` (made when missing); files that are already right are left alone. */
export async function writeTestSignatures(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    if ((await readIfThere(path)) === content) continue;
    const half = join(directory, `.${name}.new`);
    await rm(half, { force: true });
    await writeFile(half, content, { flag: "wx", mode: 0o644 });
    await rename(half, path);
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

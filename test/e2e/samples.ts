/** Bodies that the built-in test signatures know, and bodies that nobody does. */

import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export interface Sample {
  readonly name: string;
  readonly bytes: Buffer;
}

/** In two pieces, so that no scanner takes this file for the test file. */
export const eicar: Sample = {
  name: "eicar.com",
  bytes: Buffer.from(`X5O!P%@AP[4\\PZX54(P^)7CC)7}$${"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"}`, "latin1"),
};

const testFilesDirectory = "/usr/share/clamav-testfiles";

/** The 44 files of Debian's clamav-testfiles: one program in as many wrappings. */
export async function clamavTestFiles(): Promise<readonly Sample[]> {
  const names = (await readdir(testFilesDirectory)).sort();
  return Promise.all(names.map(async (name) => ({ name, bytes: await readFile(join(testFilesDirectory, name)) })));
}

export function unknownBytes(size: number): Sample {
  return { name: "unknown.bin", bytes: randomBytes(size) };
}

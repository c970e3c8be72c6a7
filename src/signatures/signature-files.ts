/** Which files of a directory clamd would load, and a cheap way to notice that they changed. */

import type { BigIntStats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { systemCodeOf } from "../core/errors.ts";
import { canaryFileName } from "./canary.ts";

export interface ListedFile {
  readonly name: string;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** False for a detached `.sign` file (ClamAV 1.5), which goes along with its database. */
  readonly isSignatures: boolean;
  /** The same for the same bytes under any name: device, inode, size, mtime. */
  readonly identity: string;
  /** As `identity`, and the ctime too: an in-place copy that keeps size and mtime still shows. */
  readonly fingerprint: string;
}

/** CLI_DBEXT of libclamav/readdb.h, 1.4 and 1.5 together; `info` is read by 1.4 only. */
const signatureExtensions: ReadonlySet<string> = new Set(
  (
    "cvd cld cud db hdb hdu hsb hsu fp sfp mdb mdu msb msu imp ndb ndu ldb ldu sdb zmd rmd " +
    "pdb gdb wdb cbc ftm cfg cdb crb cat idb ioc yar yara pwdb ign ign2 info"
  ).split(" "),
);

/**
 * Regular files (through links, as Kubernetes mounts them) in order of their names; dot files, directories, FIFOs, devices,
 * dangling links, our own canary and all that clamd does not load are left out. Rejects with the system's error.
 */
export async function listSignatureFiles(directory: string): Promise<ListedFile[]> {
  const listed: ListedFile[] = [];
  for (const name of await readdir(directory)) {
    const extension = extname(name).slice(1).toLowerCase();
    const isSignatures = signatureExtensions.has(extension);
    if (name.startsWith(".") || name === canaryFileName || !(isSignatures || extension === "sign")) continue;
    const path = join(directory, name);
    const stats = await statIfThere(path);
    if (stats?.isFile() !== true) continue;
    const identity = identityOf(stats);
    listed.push({ name, path, size: Number(stats.size), isSignatures, identity, fingerprint: `${identity}:${stats.ctimeNs}` });
  }
  return listed.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Changes whenever a signature file comes, goes or is written; reads no content. Empty for a directory that is empty or missing. */
export async function fingerprint(directory: string): Promise<string> {
  try {
    const files = await listSignatureFiles(directory);
    return files.map((file) => `${file.name}\0${file.fingerprint}`).join("\n");
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}

export function identityOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}`;
}

export function isMissing(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** A file that went between the listing and the look, or a link to nothing, is no file. */
async function statIfThere(path: string): Promise<BigIntStats | null> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

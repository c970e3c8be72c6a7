/** Puts one signature file into an epoch so that what happens to the original afterwards does not reach it, where the file system allows. */

import { createHash } from "node:crypto";
import { copyFile, link, readFile, realpath, stat, symlink } from "node:fs/promises";
import { identityOf } from "./signature-files.ts";
import type { SignatureFile } from "./signature-set.ts";

/** Replaced by tests that play a file system of their own. */
export interface LinkOperations {
  copyFile(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
}

export const linkOperations: LinkOperations = { copyFile, link, symlink };

/**
 * Small files are copied: those are the hand-made ones, which people overwrite in place, and a hard link would follow that.
 * Large ones are freshclam's, which renames; a copy would cost hundreds of megabytes per epoch.
 */
const copyMaxBytes = 1 << 20;

/** EXDEV: another file system; EPERM, EACCES: fs.protected_hardlinks, a file of another owner; the rest: no hard links there. */
const noHardLink = new Set(["EXDEV", "EPERM", "EACCES", "EMLINK", "EROFS", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/**
 * Rejects with the system's error (ENOSPC among them), or with an Error when the file at `to` is not the one that was hashed:
 * it was replaced in between, and the epoch would not be what its id says.
 */
export async function linkFile(file: SignatureFile, to: string, operations: LinkOperations): Promise<void> {
  // link(2) would link a symbolic link itself, and Kubernetes mounts each file as one.
  const from = await realpath(file.path);
  if (file.size <= copyMaxBytes) {
    await operations.copyFile(from, to);
    if ((await digest(to)) !== file.sha256) throw new Error(`${file.name} changed while it was copied`);
    return;
  }
  try {
    await operations.link(from, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && noHardLink.has(String(error.code)))) throw error;
    await operations.symlink(from, to);
  }
  if (identityOf(await stat(to, { bigint: true })) === file.identity) return;
  // An overlay file system gives a file of a lower layer a new inode when it is linked: only the content tells.
  if ((await digest(to)) !== file.sha256) throw new Error(`${file.name} changed while it was linked`);
}

async function digest(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

/** Puts one signature file into an epoch so that what happens to the original afterwards does not reach it. */

import { createHash } from "node:crypto";
import { constants, copyFile, link, readFile, realpath, stat } from "node:fs/promises";
import { systemCodeOf } from "../core/errors.ts";
import { identityOf } from "./signature-files.ts";
import type { SignatureFile } from "./signature-set.ts";

/** Replaced by tests that play a file system of their own. */
export interface LinkOperations {
  copyFile(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
}

export const linkOperations: LinkOperations = {
  copyFile: (from, to) => copyFile(from, to, constants.COPYFILE_FICLONE),
  link,
};

/**
 * Small files are copied: those are the hand-made ones, which people overwrite in place, and a hard link would follow that.
 * Large ones are freshclam's, which renames: a link keeps what was loaded and costs nothing. Where there can be none, as from a mount
 * of its own, they are copied too: a symbolic link would lead a clamd that starts again to files that nobody has tested.
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
  if (file.size > copyMaxBytes && (await isLinked(from, to, operations))) {
    if (identityOf(await stat(to, { bigint: true })) === file.identity) return;
  } else await operations.copyFile(from, to);
  // Of a copy, and of a link on an overlay file system, which gives a file of a lower layer a new inode, only the content tells.
  if ((await digest(to)) !== file.sha256) throw new Error(`${file.name} changed while it was taken over`);
}

async function isLinked(from: string, to: string, operations: LinkOperations): Promise<boolean> {
  try {
    await operations.link(from, to);
    return true;
  } catch (error) {
    if (noHardLink.has(systemCodeOf(error) ?? "")) return false;
    throw error;
  }
}

async function digest(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

/** The spool's directory: made private, and emptied of what an earlier gateway left there. */

import { chmod, mkdir, readdir, realpath, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { ClamgateError, messageOf } from "../core/errors.ts";

const prefix = "body-";
/** As node:crypto's randomUUID writes them. */
const uniqueIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface ClaimedDirectory {
  /** Absolute and free of links: clamd is told paths below it. */
  readonly path: string;
  /** How many files of an earlier gateway were removed. */
  readonly leftovers: number;
}

/**
 * Makes `directory` (and its parents) mode 0700, or takes it over from an earlier gateway.
 * Rejects with `internal` and touches nothing where it is not a directory of our own user, or holds anything but spool
 * files: a setting that names somebody's home by mistake must not cost a file or its owner's access. A mount point's root
 * (with its `lost+found`) is therefore refused; a directory below it serves.
 */
export async function claimDirectory(directory: string): Promise<ClaimedDirectory> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = await realpath(directory);
    const { uid } = await stat(path);
    // getuid is missing on Windows only, which has no modes to protect the directory with either.
    if (process.getuid !== undefined && uid !== process.getuid()) throw new Error(`${path} belongs to another user`);

    const entries = await readdir(path, { withFileTypes: true });
    const foreign = entries.find((entry) => !(entry.isFile() && isSpoolFileName(entry.name)));
    if (foreign !== undefined) {
      throw new Error(
        `${path} holds ${JSON.stringify(foreign.name)}, which is no spool file; the spool needs a directory of its own`,
      );
    }
    await chmod(path, 0o700);
    for (const entry of entries) await unlink(join(path, entry.name));
    return { path, leftovers: entries.length };
  } catch (thrown) {
    const detail = messageOf(thrown);
    throw new ClamgateError("internal", "The spool directory cannot be used", { detail, cause: thrown });
  }
}

/** @param uniqueId in the form of randomUUID. */
export function spoolFileName(uniqueId: string): string {
  return prefix + uniqueId;
}

function isSpoolFileName(name: string): boolean {
  return name.startsWith(prefix) && uniqueIdPattern.test(name.slice(prefix.length));
}

/** Private directories, one per set of signatures: clamd loads these and never DATABASE_DIRECTORY itself. */

import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf } from "../core/errors.ts";
import { canaryFileName, canarySignature, isSetId } from "./canary.ts";
import { type LinkOperations, linkFile, linkOperations } from "./link-file.ts";
import { isMissing } from "./signature-files.ts";
import type { SignatureSet } from "./signature-set.ts";

export interface Epoch {
  /** The id of its signature set. */
  readonly id: string;
  /** Absolute path. Holds the set's files and the canary. */
  readonly directory: string;
}

/** All methods reject with the system's error. Calls must not overlap. */
export interface Epochs {
  /** The path to give clamd as DatabaseDirectory: a symbolic link to the active epoch. It leads nowhere before the first `activate`. */
  readonly currentPath: string;
  /** Builds the epoch of `set`, anew if there is one. A failure leaves nothing behind and an older epoch of that id as it was. */
  prepare(set: SignatureSet): Promise<Epoch>;
  /** Turns `currentPath` to the epoch, in one step: whoever opens it sees the one or the other. */
  activate(epoch: Epoch): Promise<void>;
  current(): Promise<Epoch | null>;
  /** The epoch last recorded as loaded, if it is still there. */
  lastGood(): Promise<Epoch | null>;
  recordGood(epoch: Epoch): Promise<void>;
  /** Removes every epoch whose id is not in `keep`; the current one stays in any case. */
  prune(keep: readonly string[]): Promise<void>;
}

export interface EpochsOptions {
  /** Absolute path of a directory that is ours alone; made when missing. */
  readonly directory: string;
  readonly operations?: LinkOperations;
}

const currentName = "current";
const lastGoodName = "last-good";
/** Begins the names of what is half made; left by a crash, it goes at the next start. */
const halfMade = ".new-";

export async function openEpochs({ directory, operations = linkOperations }: EpochsOptions): Promise<Epochs> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(directory)) {
    if (name.startsWith(halfMade)) await rm(join(directory, name), { recursive: true, force: true });
  }

  const epochOfId = (id: string): Epoch => ({ id, directory: join(directory, id) });
  const epochNamed = async (name: string): Promise<Epoch | null> =>
    isSetId(name) && (await isDirectory(join(directory, name))) ? epochOfId(name) : null;

  /** Makes something under a name that a crash may leave behind, then gives it its own. */
  async function inPlace(name: string, make: (path: string) => Promise<void>): Promise<void> {
    const room = await mkdtemp(join(directory, halfMade));
    try {
      const made = join(room, name);
      await make(made);
      const own = join(directory, name);
      // rename(2) replaces a file or a link, but no directory that holds something.
      if (await isDirectory(own)) await rename(own, join(room, "replaced"));
      await rename(made, own);
    } finally {
      await rm(room, { recursive: true, force: true });
    }
  }

  async function current(): Promise<Epoch | null> {
    return epochNamed(await orEmpty(readlink(join(directory, currentName))));
  }

  return {
    currentPath: join(directory, currentName),
    async prepare(set) {
      const canary = canarySignature(set.id);
      await inPlace(set.id, async (path) => {
        await mkdir(path, { mode: 0o700 });
        for (const file of [...set.files, ...set.companions]) await linkFile(file, join(path, file.name), operations);
        await writeFile(join(path, canaryFileName), canary, { flag: "wx" });
      });
      return epochOfId(set.id);
    },
    activate: (epoch) => inPlace(currentName, (path) => symlink(epoch.id, path)),
    current,
    lastGood: async () => epochNamed((await orEmpty(readFile(join(directory, lastGoodName), "latin1"))).trim()),
    recordGood: (epoch) => inPlace(lastGoodName, (path) => writeFile(path, `${epoch.id}\n`)),
    async prune(keep) {
      const active = await current();
      for (const name of await readdir(directory)) {
        if (!isSetId(name) || keep.includes(name) || name === active?.id) continue;
        await rm(join(directory, name), { recursive: true, force: true });
      }
    },
  };
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** What is not there, or is no link, names no epoch. */
async function orEmpty(reading: Promise<string>): Promise<string> {
  try {
    return await reading;
  } catch (error) {
    if (isMissing(error) || systemCodeOf(error) === "EINVAL") return "";
    throw error;
  }
}

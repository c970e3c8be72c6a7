/** Changes API_KEYS_FILE: whole or not at all, one change at a time, and never to what a gateway would not take. */

import { chmod, chown, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf, systemCodeOf } from "../core/errors.ts";
import { type KeyEntry, parseKeyFile } from "./key-file.ts";
import { readKeyFile } from "./keys.ts";

/** As it stands in the file. */
export type EntryJson = Readonly<Record<string, unknown>>;

export type Change = (entries: readonly EntryJson[]) => readonly EntryJson[];

/** In their order. Rejects with an Error for people. */
export async function listKeys(path: string): Promise<readonly KeyEntry[]> {
  return entriesIn(await readKeyFile(path).catch((error: unknown) => unusable(path, error)), path);
}

/** A file that is not there begins empty, and for its owner's eyes alone. Rejects with an Error for people: nothing has changed then. */
export async function changeKeyFile(path: string, change: Change): Promise<void> {
  // What stands in the place of a link would not be what the others read.
  const target = await realpath(path).catch((error: unknown) => (isMissing(error) ? path : unusable(path, error)));
  const next = `${target}.new`;
  const file = await open(next, "wx", 0o600).catch((error: unknown) => {
    if (systemCodeOf(error) !== "EEXIST") throw error;
    throw new Error(`${next} is there: somebody else changes the file, or did not get to the end; then remove it`);
  });
  try {
    const before = await readKeyFile(target).catch((error: unknown) => (isMissing(error) ? null : unusable(path, error)));
    if (before !== null) entriesIn(before, path);
    const { keys } = before === null ? { keys: [] } : (JSON.parse(before) as { readonly keys: readonly EntryJson[] }); // it has been looked at
    const text = `${JSON.stringify({ keys: change(keys) }, null, 2)}\n`;
    entriesIn(text, path);
    await file.writeFile(text);
    await file.sync();
    if (before !== null) await likeOwnerOf(target, next);
    await rename(next, target);
    await syncDirectory(dirname(target));
  } finally {
    await file.close();
    await rm(next, { force: true });
  }
}

function entriesIn(text: string, path: string): readonly KeyEntry[] {
  const parsed = parseKeyFile(text);
  if (parsed.kind === "entries") return parsed.entries;
  throw new Error(`${path}:\n  ${parsed.faults.join("\n  ")}`);
}

/** Who could read it can still read it. */
async function likeOwnerOf(old: string, next: string): Promise<void> {
  const { uid, gid, mode } = await stat(old);
  await chown(next, uid, gid);
  await chmod(next, mode & 0o777);
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function isMissing(error: unknown): boolean {
  return systemCodeOf(error) === "ENOENT";
}

function unusable(path: string, error: unknown): never {
  throw new Error(`${path} cannot be read (${messageOf(error)})`, { cause: error });
}

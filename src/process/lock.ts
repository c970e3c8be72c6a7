/** Lets one gateway at a time use a directory, and the next one take over from a gateway that was killed. */

import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf } from "../core/errors.ts";
import { findProcess } from "./process-table.ts";

export interface DirectoryLock {
  readonly path: string;
  /** Idempotent. */
  release(): Promise<void>;
}

/**
 * Makes the directory when it is missing. Rejects with an Error that names the holder and the directory while a living process
 * holds it. Sees only processes of its own machine and process namespace: a directory shared between containers is not guarded.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const self = await findProcess(process.pid);
  if (self === null) throw new Error(`Cannot lock ${directory}: this system shows no process table (/proc or ps)`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // The nonce tells two locks of one process apart.
  const text = JSON.stringify({ pid: process.pid, startTime: self.startTime, nonce: randomUUID() });
  const path = join(directory, "gateway.lock");
  await acquire(path, text, directory);
  return {
    path,
    release: async () => {
      if ((await readOrNull(path)) === text) await rm(path, { force: true });
    },
  };
}

async function acquire(path: string, text: string, directory: string): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, text, { mode: 0o600, flush: true });
  try {
    while (!(await linkIfFree(draft, path))) {
      const found = await readOrNull(path);
      if (found === null) continue;
      const holder = await livingHolder(found);
      if (holder !== null) throw new Error(`${directory} is in use by another gateway (process ${holder})`);
      if (await takeOver(path, found, draft, text, directory)) return;
    }
  } finally {
    await rm(draft, { force: true });
  }
}

/** O_EXCL for a file that is whole from its first moment: link(2) fails where the name exists. */
async function linkIfFree(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (thrown) {
    if (systemCodeOf(thrown) === "EEXIST") return false;
    throw thrown;
  }
}

/**
 * Replaces a dead gateway's lock, unless it has changed meanwhile. Two gateways that both saw it dead must not both replace
 * it, the later one with a rename over the earlier one's live lock: so taking over is itself done under a lock, and that one,
 * left by a gateway that was killed right here, is taken over in the same way.
 */
async function takeOver(path: string, found: string, draft: string, text: string, directory: string): Promise<boolean> {
  const turn = `${path}.takeover`;
  await acquire(turn, text, directory);
  try {
    if ((await readOrNull(path)) !== found) return false;
    await rename(draft, path);
    return true;
  } finally {
    await rm(turn, { force: true });
  }
}

/** The number of the process that wrote the lock; null when it is gone, or when no gateway wrote this. */
async function livingHolder(text: string): Promise<number | null> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Locks appear whole: a broken one was broken by a crash of the machine, which its gateway did not outlive.
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { pid, startTime } = value as Record<string, unknown>; // both are looked at below
  if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid < 1) return null;
  const found = await findProcess(pid);
  return found !== null && !found.isZombie && found.startTime === startTime ? pid : null;
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") return null;
    throw thrown;
  }
}

/** An epoch for a database directory that others fill and a clamd of others loads: a canary in it whose name tells what else is in it. */

import { randomBytes } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { systemCodeOf } from "../core/errors.ts";
import { canaryFileName, canarySignature } from "./canary.ts";
import { fingerprint, isMissing } from "./signature-files.ts";
import { readSignatureSet } from "./signature-set.ts";

export interface DirectoryEpoch {
  /** The set that the directory holds, when the canary in it says so; null from a change until the canary is written anew. */
  current(): string | null;
  /** Why there is none for longer than a moment. */
  fault(): string | null;
  close(): void;
}

export interface DirectoryEpochOptions {
  /** Absolute path of the canary, `canaryFileName` in the directory. */
  readonly file: string;
  /** Between two looks; files that have not changed for so long are whole. */
  readonly pollMs: number;
  /** Told of each change of `current`. */
  readonly onChange: () => void;
}

/** Gateways that share the directory write the same canary. */
export function watchDirectoryEpoch({ file, pollMs, onChange }: DirectoryEpochOptions): DirectoryEpoch {
  const directory = dirname(file);
  const closed = new AbortController();
  let seen: string | null = null;
  let changedAt = Number.NEGATIVE_INFINITY;
  let current: string | null = null;
  let fault: string | null = null;
  let looking: Promise<void> | null = null;

  function set(next: string | null): void {
    if (current === next) return;
    current = next;
    if (!closed.signal.aborted) onChange();
  }

  async function lookOnce(): Promise<void> {
    try {
      const now = await fingerprint(directory);
      if (seen !== now) {
        // What was there at the start may have been there for long.
        if (seen !== null) changedAt = performance.now();
        seen = now;
        set(null);
      }
      if (current === null && performance.now() - changedAt < pollMs) return;
      const id = current ?? (await readSignatureSet(directory)).id;
      if ((await fingerprint(directory)) !== now) return;
      if (await writeCanary(file, canarySignature(id))) set(null);
      fault = null;
      set(id);
    } catch (error) {
      fault = systemCodeOf(error) ?? String(error);
      set(null);
    }
  }

  function look(): Promise<void> {
    looking ??= lookOnce().finally(() => {
      looking = null;
    });
    return looking;
  }

  async function watchOn(): Promise<void> {
    const watcher = watchEvents(directory, () => void look());
    closed.signal.addEventListener("abort", () => watcher?.close(), { once: true });
    while (!closed.signal.aborted) {
      await look();
      await delay(pollMs, undefined, { signal: closed.signal, ref: false }).catch(() => {}); // closed
    }
  }

  void watchOn();
  return { current: () => current, fault: () => fault, close: () => closed.abort() };
}

/** Sooner than the next look, where the file system tells; null where it does not. */
function watchEvents(directory: string, onEvent: () => void): FSWatcher | null {
  try {
    return watch(directory, { persistent: false }, onEvent).on("error", () => {}); // the next look tells
  } catch {
    return null;
  }
}

/** Whether it was another one before. In one step: clamd may read the directory at any time, and a part of a line would cost it all. */
async function writeCanary(file: string, text: string): Promise<boolean> {
  if ((await textOf(file)) === text) return false;
  const aside = join(dirname(file), `.${canaryFileName}.${randomBytes(4).toString("hex")}`);
  try {
    await writeFile(aside, text, { flag: "wx", mode: 0o644 });
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  return true;
}

async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, "latin1");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

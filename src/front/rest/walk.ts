/** The files of a directory tree, one after another in a fixed order. */

import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";

export interface WalkLimits {
  /** Directories below the first; clamd's own limit is 15. */
  readonly maxDepth: number;
  /** Names looked at, directories included. */
  readonly maxEntries: number;
}

export type Walked =
  | { readonly kind: "file"; readonly path: Buffer }
  /** A directory that cannot be listed: what is in it was not seen. */
  | { readonly kind: "unreadable"; readonly path: Buffer }
  /** There is more, and it was not seen. */
  | { readonly kind: "limit" };

/**
 * Ordered by the bytes of the names, a directory's files where its name stands. Links, FIFOs, sockets and devices are passed over,
 * as clamd does by default: what a link leads to is either in the tree on its own account or not asked for.
 */
export async function* walk(directory: Buffer, { maxDepth, maxEntries }: WalkLimits): AsyncGenerator<Walked> {
  let entries = 0;
  let isOver = false;
  yield* below(directory, 0);

  async function* below(parent: Buffer, depth: number): AsyncGenerator<Walked> {
    const names = await list(parent);
    if (names === null) {
      yield { kind: "unreadable", path: parent };
      return;
    }
    for (const entry of names) {
      if (isOver) return;
      if (entries >= maxEntries) {
        isOver = true;
        yield { kind: "limit" };
        return;
      }
      entries += 1;
      const path = Buffer.concat([parent, slash, entry.name]);
      if (entry.isFile()) yield { kind: "file", path };
      if (!entry.isDirectory()) continue;
      if (depth >= maxDepth) yield { kind: "limit" };
      else yield* below(path, depth + 1);
    }
  }
}

const slash = Buffer.from("/");

async function list(directory: Buffer): Promise<Dirent<Buffer>[] | null> {
  try {
    const entries = await readdir(directory, { encoding: "buffer", withFileTypes: true });
    return entries.sort((one, other) => Buffer.compare(one.name, other.name));
  } catch {
    // Reported by the caller as a directory that was not seen.
    return null;
  }
}

/** The files of a directory tree, one after another in a fixed order, with a bound on what is held of it at a time. */

import type { Dirent } from "node:fs";
import { opendir } from "node:fs/promises";
import type { TurnLimits } from "../../core/queues/turns.ts";

export interface WalkLimits {
  /** Directories below the first; clamd's own limit is 15. */
  readonly maxDepth: number;
  /** Names looked at, directories included. */
  readonly maxEntries: number;
}

export const walkLimits: WalkLimits = { maxDepth: 15, maxEntries: 10_000 };

/** Of directories: each walk holds up to some megabytes of names and results. */
export const walkTurnLimits: TurnLimits = { maxAtOnce: 4, maxWaitMs: 30_000, refusal: "Too many directories are being scanned" };

export type Walked =
  | { readonly kind: "file"; readonly path: Buffer }
  /** A directory that cannot be listed: what is in it was not seen. */
  | { readonly kind: "unreadable"; readonly path: Buffer }
  /** There is more, and it was not seen. */
  | { readonly kind: "limit" };

interface Entry {
  readonly kind: "file" | "directory" | "other";
  readonly parent: Buffer;
  /** One character a byte: such strings are ordered as their bytes are. */
  readonly name: string;
  readonly depth: number;
}

/**
 * Ordered by the bytes of the names, a directory's files where its name stands. Links, FIFOs, sockets and devices are passed over,
 * as clamd does by default: what a link leads to is either in the tree on its own account or not asked for.
 * Of each directory every name is read, and no more kept than may still be looked at: `maxEntries` in all, twice as many for a moment.
 * @param signal ends it between two reads of a directory, with its reason.
 */
export async function* walk(
  directory: Buffer,
  { maxDepth, maxEntries }: WalkLimits,
  signal: AbortSignal,
): AsyncGenerator<Walked> {
  /** What comes next is the last one. */
  let ahead: Entry[] = [];
  let left = maxEntries;

  yield* lookInto(directory, 0);
  for (let entry = ahead.pop(); entry !== undefined; entry = ahead.pop()) {
    if (left === 0) {
      yield { kind: "limit" };
      return;
    }
    left -= 1;
    if (entry.kind === "other") continue;
    const path = Buffer.concat([entry.parent, slash, Buffer.from(entry.name, "latin1")]);
    if (entry.kind === "file") yield { kind: "file", path };
    else if (entry.depth >= maxDepth) yield { kind: "limit" };
    else yield* lookInto(path, entry.depth + 1);
  }

  /** What can no longer be reached goes when there is as much of it as of the rest: else each directory would cost all that is ahead. */
  function put(entries: readonly Entry[]): void {
    const wanted = left + 1;
    if (ahead.length + entries.length > 2 * wanted) ahead = ahead.slice(ahead.length + entries.length - wanted);
    for (const entry of entries.toReversed()) ahead.push(entry);
  }

  /** One more than may be looked at is kept, to tell that there is more. */
  async function* lookInto(parent: Buffer, depth: number): AsyncGenerator<Walked> {
    const entries = await listFirst(parent, { depth, count: left + 1, signal });
    if (entries === null) yield { kind: "unreadable", path: parent };
    else put(entries);
  }
}

const slash = Buffer.from("/");

/** Names that the system is asked for at a time: some milliseconds of work. */
const namesPerRead = 256;

interface Listing {
  readonly depth: number;
  readonly count: number;
  readonly signal: AbortSignal;
}

/** The first `count` entries of a directory, in order; null where it cannot be read to its end. */
async function listFirst(parent: Buffer, { depth, count, signal }: Listing): Promise<Entry[] | null> {
  let first: Entry[] = [];
  /** That of the last one, once there are more than are wanted. */
  let beyond: string | null = null;
  try {
    // The names come as bytes, of which Node's types know nothing.
    for await (const entry of await opendir(parent, { encoding: "buffer" as "utf8", bufferSize: namesPerRead })) {
      signal.throwIfAborted();
      const name = Buffer.from(entry.name).toString("latin1");
      if (beyond !== null && name > beyond) continue;
      first.push({ kind: kindOf(entry), parent, name, depth });
      if (first.length < 2 * count) continue;
      first = first.sort(byName).slice(0, count);
      beyond = first.at(-1)?.name ?? null;
    }
  } catch {
    signal.throwIfAborted();
    // Reported by the caller as a directory that was not seen.
    return null;
  }
  return first.sort(byName).slice(0, count);
}

function kindOf(entry: Dirent): Entry["kind"] {
  if (entry.isFile()) return "file";
  return entry.isDirectory() ? "directory" : "other";
}

function byName(one: Entry, other: Entry): number {
  return one.name < other.name ? -1 : 1;
}

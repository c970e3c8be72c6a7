/** Scans a file of this machine, or each file of a directory tree, below the roots. */

import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { FrontName } from "../../core/events.ts";
import type { Turns } from "../../core/queues/turns.ts";
import type { Scan, ScannedBody } from "../../core/scan.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import type { OpenedFile, ScanRoots } from "./scan-roots.ts";
import { type Walked, type WalkLimits, walk } from "./walk.ts";

export interface PathScanOptions {
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly roots: ScanRoots;
  readonly walkLimits: WalkLimits;
  /** Of the directories that are walked at once. */
  readonly walkTurns: Turns;
  /** Files of one directory that are scanned at once; more than one are answered in any order. */
  readonly maxAtOnce: number;
  readonly via: FrontName;
  readonly requestId: string;
  /** As `ScanOptions.client`. */
  readonly client: string;
  readonly signal: AbortSignal;
}

export type PathFinding = {
  /** The path as it was asked for; of a file in a directory with `/` and the way to it. */
  readonly path: Buffer;
} & (
  | ({ readonly kind: "scanned" } & Pick<ScannedBody, "report" | "decision">)
  | { readonly kind: "failed"; readonly error: ClamgateError }
  /** Neither a file nor a directory. */
  | { readonly kind: "other" }
  /** There are more files or levels in the directory, and they were not seen. */
  | { readonly kind: "limit" }
);

/**
 * One finding for a file. For a directory one for each file in its tree, and one for each part of it that was not seen; none for an
 * empty one. Never rejects.
 */
export async function* scanPath(path: Buffer, options: PathScanOptions): AsyncGenerator<PathFinding> {
  try {
    const opened = await options.roots.open(path);
    switch (opened.kind) {
      case "other":
        yield { kind: "other", path };
        return;
      case "file":
        yield await scanFile(path, opened.file, options);
        return;
      case "directory": {
        const endTurn = await options.walkTurns.take(options.client, options.signal);
        try {
          yield* scanTree(path, opened.path, options);
        } finally {
          endTurn();
        }
      }
    }
  } catch (error) {
    yield { kind: "failed", path, error: toClamgateError(error) };
  }
}

/** @param directory the path of it without links. */
async function* scanTree(path: Buffer, directory: Buffer, options: PathScanOptions): AsyncGenerator<PathFinding> {
  const { engineVersion, walkLimits, maxAtOnce, signal } = options;
  const prefix = Buffer.from(path.toString("latin1").replace(/\/+$/, ""), "latin1");
  const pending = new Set<Promise<PathFinding>>();
  const firstOfPending = async (): Promise<PathFinding> => {
    const { scanning, finding } = await Promise.race(
      [...pending].map((scanning) => scanning.then((finding) => ({ scanning, finding }))),
    );
    pending.delete(scanning);
    return finding;
  };
  let isEmpty = true;
  try {
    for await (const walked of walk(directory, walkLimits, signal)) {
      isEmpty = false;
      signal.throwIfAborted();
      pending.add(scanWalked(walked, namedBelow(prefix, directory, walked), options));
      if (pending.size >= maxAtOnce) yield await firstOfPending();
    }
    while (pending.size > 0) yield await firstOfPending();
  } finally {
    await Promise.all(pending);
  }
  // Else an empty directory would be called clean while nothing could be found in a full one.
  if (isEmpty && engineVersion() === null) {
    throw new ClamgateError("engine-unavailable", "The scan engine is not available");
  }
}

function namedBelow(prefix: Buffer, directory: Buffer, walked: Walked): Buffer {
  if (walked.kind === "limit") return prefix;
  const isRoot = directory.length === 1; // "/" alone ends with its slash
  return Buffer.concat([prefix, walked.path.subarray(isRoot ? 0 : directory.length)]);
}

/** Never rejects. */
async function scanWalked(walked: Walked, path: Buffer, options: PathScanOptions): Promise<PathFinding> {
  switch (walked.kind) {
    case "limit":
      return { kind: "limit", path };
    case "unreadable":
      return { kind: "failed", path, error: new ClamgateError("not-found", "A directory cannot be read") };
    case "file":
      try {
        const opened = await options.roots.open(walked.path);
        if (opened.kind === "file") return await scanFile(path, opened.file, options);
        const error = new ClamgateError("not-found", "A file became something else");
        return { kind: "failed", path, error };
      } catch (error) {
        return { kind: "failed", path, error: toClamgateError(error) };
      }
  }
}

/** Never rejects, but where the file cannot be closed. */
async function scanFile(path: Buffer, file: OpenedFile, options: PathScanOptions): Promise<PathFinding> {
  const { scan, via, requestId, client, signal } = options;
  try {
    const { size: expectedBytes } = file;
    const scanned = await scan(file.read(), { via, requestId, name: path.toString(), client, signal, expectedBytes });
    await scanned[Symbol.asyncDispose]();
    return { kind: "scanned", path, report: scanned.report, decision: scanned.decision };
  } catch (error) {
    return { kind: "failed", path, error: toClamgateError(error) };
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

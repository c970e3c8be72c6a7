/** What a path leads to, scanned file by file. */

import { ClamgateError, toClamgateError } from "../../core/errors.ts";
import type { Scan } from "../../core/scan.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import { type Judgement, judge } from "./judgement.ts";
import type { OpenedFile, ScanRoots } from "./scan-roots.ts";
import type { Turns } from "./turns.ts";
import { type Walked, type WalkLimits, walk } from "./walk.ts";

export interface PathScanOptions {
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly roots: ScanRoots;
  readonly walkLimits: WalkLimits;
  readonly walkTurns: Turns;
  readonly requestId: string;
  readonly client: string;
  readonly signal: AbortSignal;
}

/**
 * One judgement for a file. For a directory one for each file in its tree, and a failed one for each part of it that was not seen;
 * none for an empty one. Never rejects.
 */
export async function* judgePath(path: Buffer, options: PathScanOptions): AsyncGenerator<Judgement> {
  try {
    const opened = await options.roots.open(path);
    if (opened.kind === "file") {
      yield await judgeFile(path, opened.file, options);
      return;
    }
    const endTurn = await options.walkTurns.take(options.client, options.signal);
    try {
      yield* judgeTree(opened.path, options);
    } finally {
      endTurn();
    }
  } catch (error) {
    yield failed(error);
  }
}

async function* judgeTree(directory: Buffer, options: PathScanOptions): AsyncGenerator<Judgement> {
  let isEmpty = true;
  for await (const walked of walk(directory, options.walkLimits, options.signal)) {
    isEmpty = false;
    options.signal.throwIfAborted();
    yield await judgeWalked(walked, options);
  }
  // Else an empty directory would be called clean while nothing could be found in a full one.
  if (isEmpty && options.engineVersion() === null) {
    throw new ClamgateError("engine-unavailable", "The scan engine is not available");
  }
}

async function judgeWalked(walked: Walked, options: PathScanOptions): Promise<Judgement> {
  switch (walked.kind) {
    case "limit":
      return failed(new ClamgateError("malformed", "The directory has too many files or levels"));
    case "unreadable":
      return failed(new ClamgateError("not-found", "A directory cannot be read"));
    case "file":
      try {
        const opened = await options.roots.open(walked.path);
        if (opened.kind === "file") return await judgeFile(walked.path, opened.file, options);
        return failed(new ClamgateError("not-found", "A file became a directory"));
      } catch (error) {
        return failed(error);
      }
  }
}

async function judgeFile(path: Buffer, file: OpenedFile, options: PathScanOptions): Promise<Judgement> {
  const { scan, requestId, client, signal } = options;
  const asked = { requestId, name: path.toString(), client, signal, codings: null, expectedBytes: file.size };
  try {
    return await judge(scan, file.read(), asked);
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

function failed(error: unknown): Judgement {
  return { kind: "failed", error: toClamgateError(error) };
}

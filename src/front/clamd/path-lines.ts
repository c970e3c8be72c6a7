/** The answers to SCAN, CONTSCAN, MULTISCAN and ALLMATCHSCAN, line by line (clamd-front.md 3, D15-D20). */

import { errorName, errorText, foundLine, noSuchFile, type OnError, okLine, pathErrorLine } from "../../codec/clamd/answer.ts";
import type { CommandName } from "../../codec/clamd/request.ts";
import type { ErrorCode } from "../../core/errors.ts";

import { findings } from "../../core/scan.ts";
import { type PathFinding, type PathScanOptions, scanPath } from "../paths/path-scan.ts";

export interface PathLinesOptions extends Omit<PathScanOptions, "via" | "maxAtOnce" | "roots"> {
  /** Null where no path may be scanned. */
  readonly roots: PathScanOptions["roots"] | null;
  readonly onError: OnError;
}

const multiscanAtOnce = 8;
const slash = 0x2f;

/**
 * One character a byte, each for a write of its own. `<path>: OK` is the last, and comes only where all of it was seen and may pass:
 * clamd says so beside ERROR lines too, and amavisd takes that for clean.
 */
export async function* pathLines(name: CommandName, path: Buffer, options: PathLinesOptions): AsyncGenerator<string> {
  const { roots, onError } = options;
  const failure = (at: Buffer, code: ErrorCode, text: string): string => {
    // A listener that closes in place of an error would have c-icap spin here.
    return onError === "found" ? foundLine(shown(at), errorName(code)) : pathErrorLine(shown(at), text);
  };

  function lineOf(finding: PathFinding): string | null {
    const { path: at } = finding;
    switch (finding.kind) {
      case "scanned":
        return finding.decision.isAllowed ? null : foundLine(shown(at), findings(finding)[0] ?? "");
      case "other":
        return failure(at, "not-found", "Not supported file type");
      case "limit":
        return failure(at, "malformed", "Too many files or levels");
      case "failed":
        return failedLine(at, finding.error.code);
    }
  }

  function failedLine(at: Buffer, code: ErrorCode): string {
    if (code === "too-large") return foundLine(shown(at), "Heuristics.Limits.Exceeded.MaxFileSize");
    const isMissing = code === "not-found" || code === "malformed";
    return failure(at, code, isMissing ? noSuchFile : errorText(code));
  }

  if (roots === null) {
    yield failure(path, "forbidden", "Path scanning is not enabled");
    return;
  }
  if (path[0] !== slash) {
    yield failure(path, "not-found", noSuchFile);
    return;
  }
  const maxAtOnce = name === "MULTISCAN" ? multiscanAtOnce : 1;
  let isClean = true;
  for await (const finding of scanPath(path, { ...options, roots, via: "clamd", maxAtOnce })) {
    const line = lineOf(finding);
    if (line === null) continue;
    isClean = false;
    yield line;
    if (name === "SCAN") return;
  }
  if (isClean) yield okLine(shown(path));
}

function shown(path: Buffer): string {
  return path.toString("latin1");
}

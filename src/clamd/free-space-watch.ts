/** The room in which a clamd of our own unpacks: where it runs out of it, clamd may say OK of what it never saw (clamd.md S14). */

import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import { readLogLine } from "./log-lines.ts";

export interface FreeSpaceWatch {
  /** To be told each line that clamd writes. */
  heard(line: string): void;
  /**
   * Why an OK must not be believed whose scan began then; null when nothing speaks against it. To be asked one turn of the event loop after
   * its end: by then the lines are read that clamd wrote before its answer.
   * @param startedAt of the clock.
   */
  doubt(startedAt: number): string | null;
}

export interface FreeSpaceOptions {
  /** Bytes that are free where clamd unpacks, at this moment; null where nobody can tell. */
  readonly freeBytes: () => number | null;
  /** With less than this left at the end of a scan, clamd may have had none in the middle of it. For the parsers that say nothing. */
  readonly reserveBytes: number;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** Nothing fills so much within so short a time, so that one look does for all scans that end in it. */
const plentyBytes = 512 * 1024 * 1024;
const plentyMs = 10;

export function watchFreeSpace({ freeBytes, reserveBytes, clock, emit }: FreeSpaceOptions): FreeSpaceWatch {
  let failedAt = -Infinity;
  let failedLine = "";
  let isDoubted = false;
  let plentyAt = -Infinity;

  function lack(): string | null {
    const now = clock();
    if (now - plentyAt < plentyMs) return null;
    try {
      const free = freeBytes();
      if (free !== null && free >= plentyBytes) plentyAt = now;
      return free !== null && free < reserveBytes ? `${free} bytes are free, fewer than ${reserveBytes}` : null;
    } catch (error) {
      return `its room cannot be told: ${messageOf(error)}`;
    }
  }

  function told(doubt: string | null): string | null {
    if ((doubt !== null) === isDoubted) return doubt;
    isDoubted = doubt !== null;
    const message =
      doubt === null ? "clamd has room to unpack again" : `clamd lacks room to unpack, so what it calls OK is refused: ${doubt}`;
    emit({ kind: "notice", level: doubt === null ? "info" : "error", message });
    return doubt;
  }

  return {
    heard(line) {
      if (!readLogLine(line).some(({ kind }) => kind === "write-failed")) return;
      failedAt = clock();
      failedLine = line;
    },
    doubt: (startedAt) => told(lack() ?? (failedAt >= startedAt ? failedLine : null)),
  };
}

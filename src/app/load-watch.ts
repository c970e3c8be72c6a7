/** A load of signatures by our own clamd, as it is heard from outside: what ends it, and what its failure is to be blamed on. */

import type { Blame } from "../signatures/set-loader.ts";
import type { FileFault } from "../signatures/signature-set.ts";
import { fileComplaints } from "./file-complaints.ts";

/** clamd was not there to be asked. */
export class AwayError extends Error {}

export interface LoadWatch {
  /** Rejects as soon as something tells that the load has failed, or when its time is over. Calls must not overlap. */
  during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** To be told every line of clamd's. */
  heard(line: string): void;
  /** To be told of every end of clamd. */
  lost(reason: string): void;
  /** @param error what `during` has just rejected with. */
  blame(error: unknown, { isStart }: { readonly isStart: boolean }): Blame;
  /** The file that the last load has stopped at, where clamd named one and was short of nothing. */
  culprit(): FileFault | null;
  /** The files that the last load has left out, or a part of them, without stopping. */
  skipped(): readonly FileFault[];
}

const shortages =
  /(allocate|out of) memory|too many open files|no space left|input\/output error|permission denied|can't create .{0,100}thread/i;

export function watchLoads(timeoutMs: number): LoadWatch {
  let fail: ((reason: string) => void) | null = null;
  /** clamd's line that says most about a load that fails. */
  let fault: string | null = null;
  /** clamd's line that tells what it was short of: what it says of signatures that it could not read for that is no fault of theirs. */
  let shortage: string | null = null;
  let files = fileComplaints();

  return {
    async during(work) {
      const failed = new AbortController();
      const { signal } = failed;
      const timer = setTimeout(() => failed.abort(new Error(`not loaded within ${timeoutMs / 1000} s`)), timeoutMs);
      fault = null;
      shortage = null;
      files = fileComplaints();
      fail = (reason) => {
        const told = shortage ?? fault;
        failed.abort(new Error(told === null ? reason : `${told} (${reason})`));
      };
      try {
        return await work(signal);
      } catch (error) {
        throw signal.aborted ? signal.reason : error;
      } finally {
        clearTimeout(timer);
        fail = null;
      }
    },
    heard(line) {
      if (shortages.test(line)) shortage = line;
      files.heard(line);
      if (/Database load failed|Malformed database|Can't (load|open|get)/i.test(line)) fault = line;
      if (!/Database reload failed/.test(line)) return;
      // It comes over the other pipe than what libclamav said before: that is read first.
      const end = fail;
      setImmediate(() => {
        end?.(line);
        if (end === fail) fault ??= line;
      });
    },
    lost: (reason) => fail?.(reason),
    blame(error, { isStart }) {
      if (error instanceof AwayError) return "engine";
      if (fault !== null && shortage === null) return "set";
      // A clamd that does not even start, as without memory, is tried with them again; one that worked may have been lost to them.
      return isStart ? "engine" : "unclear";
    },
    culprit: () => (shortage === null ? files.culprit() : null),
    skipped: () => files.skipped(),
  };
}

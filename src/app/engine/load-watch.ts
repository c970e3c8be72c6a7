/** A load of signatures by our own clamd, as it is heard from outside: what ends it, and what its failure is to be blamed on. */

import { readLogLine } from "../../clamd/log-lines.ts";
import type { Blame } from "../../signatures/set-loader.ts";
import type { FileFault } from "../../signatures/signature-set.ts";

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

export function watchLoads(timeoutMs: number): LoadWatch {
  let fail: ((reason: string) => void) | null = null;
  /** clamd's line that says most about a load that fails. */
  let fault: string | null = null;
  /** clamd's line that tells what it was short of: what it says of signatures that it could not read for that is no fault of theirs. */
  let shortage: string | null = null;
  /** An error that named no file, or no rule: it says what is wrong with what is named next. */
  let error: string | null = null;
  let ruleError: string | null = null;
  let culprit: FileFault | null = null;
  let skipped: FileFault[] = [];

  /** It comes over the other pipe than what libclamav said before: that is read first. */
  function onReloadFailed(line: string): void {
    const end = fail;
    setImmediate(() => {
      end?.(line);
      if (end === fail) fault ??= line;
    });
  }

  return {
    async during(work) {
      const failed = new AbortController();
      const { signal } = failed;
      const timer = setTimeout(() => failed.abort(new Error(`not loaded within ${timeoutMs / 1000} s`)), timeoutMs);
      fault = null;
      shortage = null;
      error = null;
      ruleError = null;
      culprit = null;
      skipped = [];
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
      for (const said of readLogLine(line)) {
        switch (said.kind) {
          case "shortage":
            shortage = line;
            break;
          case "load-fault":
            fault = line;
            break;
          case "reload-failed":
            onReloadFailed(line);
            break;
          case "error":
            error = said.reason;
            break;
          case "file-refused":
            culprit ??= { file: said.file, reason: error ?? said.reason };
            break;
          case "rule-refused":
            ruleError ??= said.reason;
            break;
          case "rules-skipped":
            skipped.push({ file: said.file, reason: ruleError === null ? said.reason : `${ruleError} (${said.reason})` });
            ruleError = null;
            break;
          case "activates":
          case "write-failed":
            break;
        }
      }
    },
    lost: (reason) => fail?.(reason),
    blame(error, { isStart }) {
      if (error instanceof AwayError) return "engine";
      if (fault !== null && shortage === null) return "set";
      // A clamd that does not even start, as without memory, is tried with them again; one that worked may have been lost to them.
      return isStart ? "engine" : "unclear";
    },
    culprit: () => (shortage === null ? culprit : null),
    skipped: () => skipped,
  };
}

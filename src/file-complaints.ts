/** What clamd says of single signature files during one load: the one that it stops at, and those that it uses in part. */

import { basename } from "node:path";
import type { FileFault } from "./signatures/signature-set.ts";

export interface FileComplaints {
  /** To be told every line of clamd's. */
  heard(line: string): void;
  culprit(): FileFault | null;
  skipped(): readonly FileFault[];
}

/** As libclamav's readdb.c has them. A file's name may hold colons. */
const culprits = [/Can't load (.+): [^:]+$/, /error (?:loading database|parsing header of) (.+)$/];
/** A YARA file of which not all compiles ends no load: what compiles is used. */
const yaraFault = /yyerror\(\): .+ line (\d+) (.+)$/;
const yaraSummary = /failed to parse or load (\d+) yara rules from file (.+), successfully loaded (\d+) rules/;
const libraryError = /^LibClamAV Error: (.+)$/;

export function fileComplaints(): FileComplaints {
  /** The last error that named no file: it says what is wrong with the one that is named next. */
  let error: string | null = null;
  let yaraError: string | null = null;
  let culprit: FileFault | null = null;
  const skipped: FileFault[] = [];

  return {
    heard(line) {
      const yara = yaraFault.exec(line);
      if (yara !== null) {
        yaraError ??= `line ${yara[1]}: ${yara[2]}`;
        return;
      }
      const [, failures, yaraFile, successes] = yaraSummary.exec(line) ?? [];
      if (yaraFile !== undefined) {
        const counts = `${failures} of its rules do not compile, ${successes} are in use`;
        skipped.push({ file: basename(yaraFile), reason: yaraError === null ? counts : `${yaraError} (${counts})` });
        yaraError = null;
        return;
      }
      const said = libraryError.exec(line)?.[1] ?? line;
      const path = culprits.map((pattern) => pattern.exec(line)?.[1]).find((match) => match !== undefined);
      if (path !== undefined) culprit ??= { file: basename(path), reason: error ?? said.replace(path, basename(path)) };
      else if (libraryError.test(line)) error = said;
    },
    culprit: () => culprit,
    skipped: () => skipped,
  };
}

/** What clamd says of single signature files during one load: the one that it stops at, and those that it uses in part. */

import { basename } from "node:path";
import type { FileFault } from "../signatures/signature-set.ts";

export interface FileComplaints {
  /** To be told every line of clamd's. */
  heard(line: string): void;
  culprit(): FileFault | null;
  skipped(): readonly FileFault[];
}

/** As libclamav's readdb.c has them. A file's name may hold colons. */
const culprits = [
  { words: "Can't load ", path: /^(.+): [^:]+$/ },
  { words: "error loading database ", path: /^.+/ },
  { words: "error parsing header of ", path: /^.+/ },
];
/** A YARA file of which not all compiles ends no load: what compiles is used. */
const yaraFault = /^.+ line (\d+) (.+)/;
const yaraSummary = /^(\d+) yara rules from file (.+), successfully loaded (\d+) rules/;
const libraryError = /^LibClamAV Error: (.+)$/;

export function fileComplaints(): FileComplaints {
  /** The last error that named no file: it says what is wrong with the one that is named next. */
  let error: string | null = null;
  let yaraError: string | null = null;
  let culprit: FileFault | null = null;
  const skipped: FileFault[] = [];

  return {
    heard(line) {
      const yara = yaraFault.exec(behind(line, "yyerror(): "));
      if (yara !== null) {
        yaraError ??= `line ${yara[1]}: ${yara[2]}`;
        return;
      }
      const [, failures, yaraFile, successes] = yaraSummary.exec(behind(line, "failed to parse or load ")) ?? [];
      if (yaraFile !== undefined) {
        const counts = `${failures} of its rules do not compile, ${successes} are in use`;
        skipped.push({ file: basename(yaraFile), reason: yaraError === null ? counts : `${yaraError} (${counts})` });
        yaraError = null;
        return;
      }
      const said = libraryError.exec(line)?.[1] ?? line;
      const path = culprits.map((one) => one.path.exec(behind(line, one.words))?.at(-1)).find((match) => match !== undefined);
      if (path !== undefined) culprit ??= { file: basename(path), reason: error ?? said.replace(path, basename(path)) };
      else if (libraryError.test(line)) error = said;
    },
    culprit: () => culprit,
    skipped: () => skipped,
  };
}

/** Empty where the words are not there. An expression that began with them would try each place where they stand. */
function behind(line: string, words: string): string {
  const at = line.indexOf(words);
  return at < 0 ? "" : line.slice(at + words.length);
}

/** What a line of clamd's log tells, as far as the gateway needs it: the one place that knows clamd's words. */

import { basename } from "node:path";

/** One line may tell several. Files are named without their directory. */
export type ClamdStatement =
  /** The next scan is the first one with the new signatures. */
  | { readonly kind: "activates" }
  /** There was no room for something that was unpacked, and the scan may have gone on without it. */
  | { readonly kind: "write-failed" }
  /** It was short of something that is no fault of the signatures'. */
  | { readonly kind: "shortage" }
  /** Why a load fails. */
  | { readonly kind: "load-fault" }
  /** The reload is over: the signatures from before stay. */
  | { readonly kind: "reload-failed" }
  /** The load stops at this file. */
  | { readonly kind: "file-refused"; readonly file: string; readonly reason: string }
  /** An error that names no file: it says what is wrong with the one that is named next. */
  | { readonly kind: "error"; readonly reason: string }
  /** A rule of the YARA file that is named next. */
  | { readonly kind: "rule-refused"; readonly reason: string }
  /** A YARA file of which not all compiles ends no load: what compiles is used. */
  | { readonly kind: "rules-skipped"; readonly file: string; readonly reason: string };

/** clamd 1.4.6 with 16 KiB of room called several of ClamAV's own test files OK, after one of these lines each. */
const failedWrite =
  /write error|failed to write|can't write|only wrote|no space left|disc space|can't create temp|file too large/i;
const shortage =
  /(allocate|out of) memory|too many open files|no space left|input\/output error|permission denied|can't create .{0,100}thread/i;
const loadFault = /Database load failed|Malformed database|Can't (load|open|get)/i;

/** As libclamav's readdb.c has them. A file's name may hold colons. */
const refusals = [
  { words: "Can't load ", path: /^(.+): [^:]+$/ },
  { words: "error loading database ", path: /^.+/ },
  { words: "error parsing header of ", path: /^.+/ },
];
const libraryError = /^LibClamAV Error: (.+)$/;
const yaraFault = /^.+ line (\d+) (.+)/;
const yaraSummary = /^(\d+) yara rules from file (.+), successfully loaded (\d+) rules/;

export function readLogLine(line: string): readonly ClamdStatement[] {
  const statements: ClamdStatement[] = [];
  if (line.includes("Activating the newly loaded database")) statements.push({ kind: "activates" });
  if (failedWrite.test(line)) statements.push({ kind: "write-failed" });
  if (shortage.test(line)) statements.push({ kind: "shortage" });
  if (loadFault.test(line)) statements.push({ kind: "load-fault" });
  if (line.includes("Database reload failed")) statements.push({ kind: "reload-failed" });
  const ofFile = readFileStatement(line);
  return ofFile === null ? statements : [...statements, ofFile];
}

function readFileStatement(line: string): ClamdStatement | null {
  const yara = yaraFault.exec(behind(line, "yyerror(): "));
  if (yara !== null) return { kind: "rule-refused", reason: `line ${yara[1]}: ${yara[2]}` };
  const [, failures, yaraFile, successes] = yaraSummary.exec(behind(line, "failed to parse or load ")) ?? [];
  if (yaraFile !== undefined) {
    const reason = `${failures} of its rules do not compile, ${successes} are in use`;
    return { kind: "rules-skipped", file: basename(yaraFile), reason };
  }
  const error = libraryError.exec(line)?.[1];
  const path = refusals.map((one) => one.path.exec(behind(line, one.words))?.at(-1)).find((match) => match !== undefined);
  if (path !== undefined) {
    return { kind: "file-refused", file: basename(path), reason: (error ?? line).replace(path, basename(path)) };
  }
  return error === undefined ? null : { kind: "error", reason: error };
}

/** Empty where the words are not there. An expression that began with them would try each place where they stand. */
function behind(line: string, words: string): string {
  const at = line.indexOf(words);
  return at < 0 ? "" : line.slice(at + words.length);
}

/** For programs: one JSON document, or a line of JSON for each result as it comes. */

import { escapeControlsInJson } from "../../log/escape-controls.ts";
import { isText } from "../path-text.ts";
import type { Outcome, Summary } from "../summary.ts";
import { isListed, type ResultWriter, type WriterOptions } from "./result-writer.ts";

const version = 1;

/** The results stand before the summary: nothing has to be kept. */
export function jsonWriter(options: WriterOptions): ResultWriter {
  let separator = "\n";
  return {
    begin: () => `{"version":${version},"results":[`,
    result(outcome) {
      if (!isListed(outcome, options)) return "";
      const text = separator + asJson(fileReport(outcome));
      separator = ",\n";
      return text;
    },
    end: (summary) => `\n],"engine":${asJson(summary.engine)},"summary":${asJson(counts(summary))}}\n`,
  };
}

export function jsonLinesWriter(options: WriterOptions): ResultWriter {
  return {
    begin: () => "",
    result: (outcome) => (isListed(outcome, options) ? `${asJson(fileReport(outcome))}\n` : ""),
    end: (summary) => `${asJson({ version, engine: summary.engine, summary: counts(summary) })}\n`,
  };
}

/** As the library tells of a file; a name that is no UTF-8 comes in base64 as well. */
function fileReport({ path, report, error }: Outcome) {
  const bytes = isText(path) ? {} : { pathBase64: Buffer.from(path).toString("base64") };
  return {
    path: String(path),
    ...bytes,
    ...(report === undefined ? { error: { code: error.code, message: error.message } } : { report }),
  };
}

function counts({ files, bytes, clean, infected, unscannable, errors, elapsedMs, isComplete }: Summary) {
  return { files, bytes, clean, infected, unscannable, errors, elapsedMs, complete: isComplete };
}

function asJson(value: unknown): string {
  return escapeControlsInJson(JSON.stringify(value));
}

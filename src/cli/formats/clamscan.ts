/** For what reads the lines of clamscan and clamdscan: `PATH: OK`, `PATH: NAME FOUND`, `PATH: reason ERROR`, and their summary. */

import { namesOf } from "../../core/verdict.ts";
import { escapeControls } from "../../log/escape-controls.ts";
import { shownPath } from "../path-text.ts";
import { isListed, type ResultWriter, type WriterOptions } from "./result-writer.ts";

export function clamscanWriter(options: WriterOptions): ResultWriter {
  let blocked = 0;
  return {
    begin: () => "",
    result(outcome) {
      const path = shownPath(outcome.path);
      const { report, error } = outcome;
      if (report?.allowed === false) blocked += 1;
      if (!isListed(outcome, options)) return "";
      if (report === undefined) return `${path}: ${escapeControls(error.message)} ERROR\n`;
      // It has one name to a file.
      return report.allowed ? `${path}: OK\n` : `${path}: ${escapeControls(namesOf(report.verdict)[0] ?? "")} FOUND\n`;
    },
    end({ errors, elapsedMs }) {
      const seconds = elapsedMs / 1000;
      const minutes = Math.floor(seconds / 60);
      const totals = `Infected files: ${blocked}\n${errors === 0 ? "" : `Total errors: ${errors}\n`}`;
      const time = `Time: ${seconds.toFixed(3)} sec (${minutes} m ${Math.floor(seconds - minutes * 60)} s)`;
      return `\n----------- SCAN SUMMARY -----------\n${totals}${time}\n`;
    },
  };
}

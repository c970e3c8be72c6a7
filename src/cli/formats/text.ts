/** For people: what is not clean, then how much was scanned, by which engine and how old its signatures are. */

import { namesOf } from "../../core/verdict.ts";
import { escapeControls } from "../../log/escape-controls.ts";
import { shownPath } from "../path-text.ts";
import { shownBytes } from "../progress.ts";
import type { Outcome, Summary } from "../summary.ts";
import { isListed, type ResultWriter, type WriterOptions } from "./result-writer.ts";

const red = 31;
const green = 32;
const yellow = 33;

export function textWriter(options: WriterOptions): ResultWriter {
  const colored = (text: string, color: number) => (options.isColored ? `\x1b[${color}m${text}\x1b[0m` : text);
  const line = (word: string, color: number, rest: string) => `${colored(word.padEnd(12), color)}${rest}\n`;

  function result(outcome: Outcome): string {
    if (!isListed(outcome, options)) return "";
    const path = shownPath(outcome.path);
    if (outcome.error !== undefined) return line("error", yellow, `${path}: ${escapeControls(outcome.error.message)}`);
    const { verdict, allowed, allowedBy } = outcome.report;
    const names = escapeControls(namesOf(verdict).join(", "));
    const passes = allowed ? `; let pass by ${allowedBy === "policy" ? "policy" : "the allow list"}` : "";
    switch (verdict.kind) {
      case "clean":
        return options.listsClean ? line("clean", green, path) : "";
      case "infected":
        return line("infected", red, `${path}: ${names}${passes}`);
      case "unscannable":
        return line("unscannable", allowed ? yellow : red, `${path}: ${verdict.reason} (${names})${passes}`);
    }
  }

  return {
    begin: () => "",
    result,
    end(summary) {
      const { files, bytes, clean, infected, unscannable, errors, letPass, elapsedMs, isComplete } = summary;
      const counts = `${clean} clean, ${infected} infected, ${unscannable} unscannable, ${errors} errors`;
      const passing = letPass === 0 ? "" : `, ${letPass} let pass though not clean`;
      const cut = isComplete ? "" : "; NOT ALL was scanned";
      return `${files} ${files === 1 ? "file" : "files"} (${shownBytes(bytes)}) in ${(elapsedMs / 1000).toFixed(1)} s: ${counts}${passing}${cut}\n${engineLine(summary)}`;
    },
  };
}

function engineLine({ engine }: Summary): string {
  if (engine === null) return "";
  const time = engine.databaseTime === null ? "of unknown date" : `of ${engine.databaseTime.slice(0, 10)}`;
  const what = engine.testOnly
    ? "TEST SIGNATURES ONLY, which find nothing but test files"
    : `signatures ${engine.database} ${time}`;
  return escapeControls(`ClamAV ${engine.engine}, ${what}`).concat("\n");
}

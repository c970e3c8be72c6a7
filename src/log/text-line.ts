/** A line of the log for eyes: time, level, message, then `name=value` pairs. */

import { type PrettyOptions, prettyFactory } from "pino-pretty";
import { escapeControls } from "./escape-controls.ts";

/** Keys that stand at the line's beginning, not among its pairs. */
const leading = new Set(["level", "time", "msg"]);

/** Returns a function from one JSON line of the log to the text that is printed for it, line feed included. */
export function textLine(options: { readonly isColored: boolean }): (json: string) => string {
  const settings: PrettyOptions = {
    colorize: options.isColored,
    translateTime: "SYS:yyyy-mm-dd HH:MM:ss.l",
    // pino-pretty removes control characters from a message and un-escapes backslashes in objects: with both, two names look alike.
    messageFormat: (line) => messageWithPairs(line),
    hideObject: true,
    // Keys it would print raw, as the logger's name or an error's stack: a file's name with a line feed would make a second line.
    ignore: "name,pid,hostname,caller,type,stack",
  };
  return prettyFactory(settings);
}

function messageWithPairs(line: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(line).filter(([key]) => !leading.has(key));
  return [escapeControls(String(line.msg)), ...pairs.map(([key, value]) => `${key}=${shown(value)}`)].join(" ");
}

/** Plain words as they are; all else quoted as in JSON, so that no value can look like the next pair. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join(",");
  if (typeof value !== "string") return String(value);
  return /^[\w.:/@+-]+$/.test(value) ? value : escapeControls(JSON.stringify(value));
}

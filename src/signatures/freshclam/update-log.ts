/** When freshclam last began an update, read from its log (statement 58 of the REST contract: clamav-rest's metric). */

import { createReadStream } from "node:fs";
import { isMissing } from "../signature-files.ts";

/** Go's bufio.Scanner stops at a longer line, and with it the metric this one stands in for. */
const maxLineBytes = 1 << 20;

/**
 * Whole seconds since 1970 of the newest attempt in the log file; 0 when there is none, or no such file.
 * Rejects with the system's error when the file is there and cannot be read.
 */
export async function newestAttemptSeconds(path: string): Promise<number> {
  let newest = 0;
  let rest = "";
  const file = createReadStream(path, { encoding: "latin1" });
  try {
    for await (const chunk of file as AsyncIterable<string>) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      const tooLong = lines.findIndex((line) => line.length >= maxLineBytes);
      newest = newestAttempt(tooLong === -1 ? lines : lines.slice(0, tooLong), newest);
      if (tooLong !== -1 || rest.length >= maxLineBytes) return newest;
    }
    return newestAttempt([rest], newest);
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  } finally {
    file.destroy();
  }
}

function newestAttempt(lines: readonly string[], start: number): number {
  return lines.reduce((newest, line) => Math.max(newest, attemptSeconds(line) ?? 0), start);
}

const started = "ClamAV update process started";

/**
 * Whole seconds since 1970 of an attempt's line, else null. The time before the arrow wins; one that makes no sense there is
 * not made up for by the time at the end of the line.
 */
export function attemptSeconds(line: string): number | null {
  const text = line.trim();
  const arrow = text.indexOf(` -> ${started}`);
  if (arrow > 0) {
    const after = text.slice(arrow + 4 + started.length);
    if (after === "" || after.startsWith(" at ")) return timestampSeconds(text.slice(0, arrow));
  }
  const at = text.indexOf(`${started} at `);
  return at === -1 ? null : timestampSeconds(text.slice(at + started.length + 4));
}

const months = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");

/** RFC 3339, or ctime(3) in local time, or ctime with a zone's name behind it. */
function timestampSeconds(value: string): number | null {
  const text = value.trim();
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text)) {
    const time = Date.parse(text.replace(",", "."));
    return Number.isNaN(time) ? null : Math.floor(time / 1000);
  }
  const match =
    /^(?:mon|tue|wed|thu|fri|sat|sun) +([a-z]{3}) +(\d{1,2}) +(\d{1,2}):(\d\d):(\d\d)(?:\.\d+)? +(\d{4})(?: +([a-z]{3,5}))?$/i.exec(
      text,
    );
  if (match === null) return null;
  const [, monthName = "", ...numbers] = match;
  const month = months.indexOf(monthName.toLowerCase());
  const [day = 0, hour = 0, minute = 0, second = 0, year = 0] = numbers.slice(0, 5).map(Number);
  const isUniversal = /^(?:utc|gmt)$/i.test(match[7] ?? "");
  // Any other zone is taken for the local one: no freshclam writes one at all.
  const time = isUniversal
    ? Date.UTC(year, month, day, hour, minute, second)
    : new Date(year, month, day, hour, minute, second).getTime();
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const isReal = month !== -1 && day >= 1 && day <= lastDay && hour < 24 && minute < 60 && second < 60;
  return isReal ? Math.floor(time / 1000) : null;
}

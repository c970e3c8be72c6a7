/** What one freshclam run amounted to: its lines and its exit code only tell together. */

import type { UpdateOutcome } from "../../core/events.ts";
import { withoutSecrets } from "./without-secrets.ts";

export interface UpdateResult {
  readonly outcome: UpdateOutcome;
  /** One line for the log and the status; no credentials in it. */
  readonly detail: string;
  /** Until when freshclam asks no server again; null when it said nothing of it. */
  readonly coolDownUntil: Date | null;
}

export interface FreshclamRun {
  /** Null when it was ended by a signal. */
  readonly code: number | null;
  readonly signal: string | null;
  readonly lines: readonly string[];
  readonly timedOut: boolean;
  readonly durationMs: number;
}

/** libfreshclam.h, fc_error_t; the numbers in the manual page are of older releases. */
const exitMeanings: Readonly<Record<number, string>> = {
  2: "initialisation failed",
  3: "database directory unusable",
  4: "file error",
  5: "connection failed",
  6: "empty file",
  7: "bad database",
  8: "the new database does not load",
  9: "wrong configuration",
  10: "database directory not writable",
  11: "download failed",
  12: "mirror not in sync",
  13: "log file unusable",
  14: "update failed",
  15: "out of memory",
  16: "wrong argument",
  17: "forbidden",
  18: "retry later",
  19: "error",
  126: "cannot be run",
  127: "cannot be run",
};

/**
 * freshclam exits 0 when it was rate limited and on any run during a cool-down (clamd.md 8.1), so the lines come first.
 * Success is only what it names as success.
 * @param previous tells a cool-down that goes on for a block from one for a rate limit: freshclam no longer knows.
 */
export function interpretFreshclam(run: FreshclamRun, previous: UpdateResult | null = null): UpdateResult {
  const lines = run.lines.map(plain).filter((line) => line !== "");
  const says = (pattern: RegExp): boolean => lines.some((line) => pattern.test(line));
  const coolDownUntil = coolDownOf(lines);
  const until = coolDownUntil === null ? "" : `, on cool-down until ${coolDownUntil.toISOString()}`;

  if (run.timedOut) return { outcome: "failed", detail: `stopped after ${Math.round(run.durationMs / 1000)} s`, coolDownUntil };
  if (says(/^FreshClam received error code 403 /) || run.code === 17) {
    return { outcome: "blocked", detail: `the server refuses us (403)${until}`, coolDownUntil };
  }
  if (says(/^FreshClam received error code 429 /)) {
    return { outcome: "rate-limited", detail: `the server limits us (429)${until}`, coolDownUntil };
  }
  if (says(/^FreshClam previously received error code /)) {
    const isBlock = previous?.outcome === "blocked" && previous.coolDownUntil?.getTime() === coolDownUntil?.getTime();
    return { outcome: isBlock ? "blocked" : "rate-limited", detail: `not asked again yet${until}`, coolDownUntil };
  }
  if (run.code !== 0) return { outcome: "failed", detail: failureOf(run, lines), coolDownUntil };
  const updated = lines.flatMap((line) => /^(\S+) updated \(version: ([^,)]+)/.exec(line)?.slice(1, 3).join(" ") ?? []);
  if (updated.length > 0) return { outcome: "updated", detail: updated.join(", "), coolDownUntil };
  if (says(/ is up-to-date\b/)) return { outcome: "up-to-date", detail: "nothing new", coolDownUntil };
  return { outcome: "failed", detail: "it neither updated anything nor found it up to date", coolDownUntil };
}

/** Without the time and the level, which stand in either order: `ERROR: <time> -> …` on the terminal, `<time> -> ERROR: …` in the log. */
function plain(line: string): string {
  return line
    .replace(/^(?:(?:ERROR|WARNING): )?(?:\w{3} \w{3} [ \d]\d [\d:]{8} \d{4} -> )?(?:(?:ERROR|WARNING): )?/, "")
    .trimEnd();
}

/** The last one named; in local time, without a zone, as freshclam writes it. */
function coolDownOf(lines: readonly string[]): Date | null {
  for (const line of lines.toReversed()) {
    const time = /cool-down until after: (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)/.exec(line);
    if (time !== null) return new Date(`${time[1]}T${time[2]}`);
  }
  return null;
}

/** These say that something failed, or what was tried, but not why. */
const unspecific =
  /^(?:Update failed|Database update process|Giving up|Trying |Downloading|Testing database|DNS Update Info disabled|ClamAV update process|Database load exited|Can't download |OK$|-+$)/;

const telling =
  /can't|cannot|could not|fail|error|malformed|not found|unexpected|invalid|missing|denied|unable|verification|insecure|unknown/i;

function failureOf(run: FreshclamRun, lines: readonly string[]): string {
  const specific = lines.filter((line) => !unspecific.test(line));
  const reason = specific.find((line) => telling.test(line)) ?? specific.at(-1);
  const exit =
    run.code === null ? `ended by ${run.signal ?? "a signal"}` : `exit ${run.code}: ${exitMeanings[run.code] ?? "unknown"}`;
  return reason === undefined ? exit : `${exit}: ${withoutSecrets(asOne(reason)).slice(0, 300)}`;
}

/** Two messages on one line: the second keeps its time (libfreshclam_internal.c prints no line end after the first). */
function asOne(line: string): string {
  return line.replace(/(?:(?:ERROR|WARNING): )?\w{3} \w{3} [ \d]\d [\d:]{8} \d{4} -> +/g, "");
}

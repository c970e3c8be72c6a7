/** When to look for new signatures again, and when to try those again that could not be loaded. */

import type { UpdateOutcome } from "../core/events.ts";

export interface ScheduleOptions {
  /** 1 to 50. */
  readonly checksPerDay: number;
  /** How the last check ended; null before the first. */
  readonly last: { readonly outcome: UpdateOutcome; readonly coolDownUntil: Date | null } | null;
  /** Failed checks in a row, this one included. */
  readonly failures: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/**
 * No cool-down is waited for longer, whatever a server or a wrong clock says: a timer of more than 24.8 days ends at once, and
 * the checks would follow each other without a pause. freshclam itself still asks nobody before the cool-down is over.
 */
const longestMs = 7 * 24 * hourMs;

/** What freshclam itself waits when the server names no time (clamd.md 8.1). */
const coolDownMs = { "rate-limited": 4 * hourMs, blocked: 24 * hourMs } as const;

/**
 * Milliseconds before a set is tried again that has cost the engine `losses` times: at first none, since most of what ends an
 * engine has nothing to do with its signatures; then a minute, and four times as long each time up to six hours, since each try
 * may cost a start of the engine.
 */
export function pauseAfterLossMs(losses: number): number {
  return losses <= 1 ? 0 : Math.min(6 * hourMs, minuteMs * 4 ** (losses - 2));
}

/**
 * Milliseconds until the next check. The first is at once. The interval is spread by a tenth either way, so that a fleet
 * started together does not ask together; after a failure sooner, two minutes and then twice as long each time; after a
 * refusal not before the cool-down is over, since asking earlier is what turns a limit into a block.
 */
export function nextCheckMs({ checksPerDay, last, failures, now, random }: ScheduleOptions): number {
  if (last === null) return 0;
  const intervalMs = (24 * hourMs) / checksPerDay;
  const regularMs = intervalMs * (0.9 + 0.2 * random());
  switch (last.outcome) {
    case "updated":
    case "up-to-date":
      return regularMs;
    case "failed": {
      const backoffMs = 2 * minuteMs * 2 ** Math.min(Math.max(failures, 1) - 1, 10);
      return Math.min(regularMs, Math.min(backoffMs, hourMs) * (1 + 0.2 * random()));
    }
    case "rate-limited":
    case "blocked": {
      const waitMs = last.coolDownUntil === null ? coolDownMs[last.outcome] : last.coolDownUntil.getTime() - now;
      return Math.min(longestMs, Math.max(regularMs, waitMs + 10 * minuteMs * random()));
    }
  }
}

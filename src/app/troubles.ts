/** What has gone wrong a short while ago, for `/readyz`: ends of clamd, and bodies that found no room. */

import type { Clock } from "../core/clock.ts";
import type { Emit } from "../core/events.ts";

export interface Troubles {
  readonly emit: Emit;
  /** How often clamd has ended by itself within the last hour. */
  restarts(): number;
  /** True for a minute after a body was refused for want of room. */
  isSpoolRefusing(): boolean;
}

const hourMs = 3_600_000;
const minuteMs = 60_000;
/** More of them say nothing more. */
const mostCounted = 1_000;

export function watchTroubles(clock: Clock): Troubles {
  let endedAt: readonly number[] = [];
  let refusedAt = Number.NEGATIVE_INFINITY;
  return {
    emit(event) {
      if (event.kind === "child-exited" && event.child === "clamd" && event.restartInMs !== null) {
        endedAt = [...endedAt.slice(1 - mostCounted), clock()];
      } else if (event.kind === "scan-failed" && event.code === "spool-full") refusedAt = clock();
    },
    restarts: () => endedAt.filter((at) => clock() - at < hourMs).length,
    isSpoolRefusing: () => clock() - refusedAt < minuteMs,
  };
}

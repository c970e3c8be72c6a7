/** Lets a few callers at a time do what is dear; the others wait their turn, for a while. */

import { ClamgateError } from "../../core/errors.ts";

export interface TurnLimits {
  readonly maxAtOnce: number;
  readonly maxWaitMs: number;
}

export interface Turns {
  /**
   * First come, first served. Resolves with what ends the turn, to be called once.
   * Rejects with `queue-timeout` or with the signal's reason.
   */
  take(signal: AbortSignal): Promise<() => void>;
}

export function createTurns({ maxAtOnce, maxWaitMs }: TurnLimits): Turns {
  let free = maxAtOnce;
  const waiting = new Set<() => void>();

  function end(): void {
    const [next] = waiting;
    if (next === undefined) free += 1;
    else next();
  }

  return {
    take(signal) {
      return new Promise((resolve, reject) => {
        signal.throwIfAborted();
        if (free > 0) {
          free -= 1;
          resolve(end);
          return;
        }
        const leave = () => {
          waiting.delete(begin);
          clearTimeout(timer);
          signal.removeEventListener("abort", onAbort);
        };
        const begin = () => {
          leave();
          resolve(end);
        };
        const onAbort = () => {
          leave();
          reject(signal.reason);
        };
        const timer = setTimeout(() => {
          leave();
          reject(new ClamgateError("queue-timeout", "Too many directories are being scanned"));
        }, maxWaitMs);
        signal.addEventListener("abort", onAbort, { once: true });
        waiting.add(begin);
      });
    },
  };
}

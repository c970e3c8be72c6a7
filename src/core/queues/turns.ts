/** Lets a few callers at a time do what is dear; the others wait their turn, for a while. */

import { ClamgateError } from "../errors.ts";
import { createFairQueue } from "./fair-queue.ts";

export interface TurnLimits {
  readonly maxAtOnce: number;
  readonly maxWaitMs: number;
  /** What those are told who waited too long. */
  readonly refusal: string;
}

/**
 * Of decoders: a few bytes that came have brotli hold 16 MiB, and zstd as much as it unpacks to, up to 128 MiB. More of them at once would
 * not be faster, since libuv has four threads for them.
 */
export const unpackingTurns: TurnLimits = { maxAtOnce: 8, maxWaitMs: 30_000, refusal: "Too many bodies are being unpacked" };

export interface Turns {
  /**
   * Those of one client in their order, clients in turn. Resolves with what ends the turn, to be called once.
   * Rejects with `queue-timeout` or with the signal's reason.
   */
  take(client: string, signal: AbortSignal): Promise<() => void>;
}

export function createTurns({ maxAtOnce, maxWaitMs, refusal }: TurnLimits): Turns {
  let free = maxAtOnce;
  const waiting = createFairQueue<() => void>({ max: Infinity, maxOfOne: Infinity, crowdOut: () => {} });

  function end(): void {
    const next = waiting.next();
    if (next === null) free += 1;
    else next();
  }

  return {
    take(client, signal) {
      return new Promise((resolve, reject) => {
        signal.throwIfAborted();
        if (free > 0) {
          free -= 1;
          resolve(end);
          return;
        }
        const leave = () => {
          leaveLine?.();
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
          reject(new ClamgateError("queue-timeout", refusal));
        }, maxWaitMs);
        signal.addEventListener("abort", onAbort, { once: true });
        const leaveLine = waiting.add(client, begin);
      });
    },
  };
}

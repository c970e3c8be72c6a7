/** One scan that any number of requests with the same bytes wait for. */

import { ClamgateError } from "./errors.ts";
import type { EngineScan, SpooledBody } from "./ports.ts";

export interface Flight {
  readonly outcome: Promise<EngineScan>;
  /** Waits for the outcome; rejects with the signal's reason when that comes first. */
  join(signal: AbortSignal): Promise<EngineScan>;
}

export interface FlightOptions {
  /** Held by the flight itself until the outcome is known, so the request that brought it may leave. */
  readonly body: SpooledBody;
  /** @param signal aborts when the last waiter has left. */
  readonly run: (body: SpooledBody, signal: AbortSignal) => Promise<EngineScan>;
  /** Told once, when the last waiter has left: nobody may join from then on. */
  readonly onCalledOff: () => void;
}

export function createFlight({ body, run, onCalledOff }: FlightOptions): Flight {
  const calledOff = new AbortController();
  const held = body.hold();
  const outcome = run(held, calledOff.signal).finally(() => held[Symbol.asyncDispose]());
  let waiters = 0;
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  outcome.then(end, end);
  return {
    outcome,
    async join(signal) {
      waiters += 1;
      try {
        return await untilAborted(outcome, signal);
      } finally {
        waiters -= 1;
        if (waiters === 0 && !isOver) {
          onCalledOff();
          calledOff.abort(new ClamgateError("client-gone", "Every client has gone"));
        }
      }
    },
  };
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const settle = () => signal.removeEventListener("abort", onAbort);
    promise.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error) => {
        settle();
        reject(error);
      },
    );
  });
}

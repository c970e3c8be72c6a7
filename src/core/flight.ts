/** One scan that any number of requests with the same bytes wait for. */

import { ClamgateError } from "./errors.ts";
import type { EngineScan, SpooledBody } from "./ports.ts";
import { untilAborted } from "./until-aborted.ts";

export interface Flight {
  /** In whose turn it waits for the engine. */
  readonly client: string;
  readonly outcome: Promise<EngineScan>;
  /** Waits for the outcome; rejects with the signal's reason when that comes first. */
  join(signal: AbortSignal): Promise<EngineScan>;
}

export interface FlightOptions {
  readonly client: string;
  /** Held by the flight itself until the outcome is known, so the request that brought it may leave. */
  readonly body: SpooledBody;
  /** @param signal aborts when the last waiter has left. */
  readonly run: (body: SpooledBody, signal: AbortSignal) => Promise<EngineScan>;
  /** Told once, when the last waiter has left: nobody may join from then on. */
  readonly onCalledOff: () => void;
}

export function createFlight({ client, body, run, onCalledOff }: FlightOptions): Flight {
  const calledOff = new AbortController();
  const held = body.hold();
  const outcome = fly();
  let waiters = 0;
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  outcome.then(end, end);

  async function fly(): Promise<EngineScan> {
    try {
      return await run(held, calledOff.signal);
    } finally {
      await held[Symbol.asyncDispose]();
    }
  }

  return {
    client,
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

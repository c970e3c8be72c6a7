/** One search for a verdict that any number of requests with the same bytes wait for. */

import type { EngineScan } from "./engine.ts";
import { ClamgateError } from "./errors.ts";
import type { GatewayEvent } from "./events.ts";
import type { SpooledBody } from "./spool.ts";
import { untilAborted } from "./until-aborted.ts";
import type { EngineVersion, Verdict } from "./verdict.ts";

export interface Finding {
  readonly verdict: Verdict;
  readonly version: EngineVersion;
  readonly source: (GatewayEvent & { kind: "scanned" })["source"];
  /** Null where the engine was not asked for it. */
  readonly scan: EngineScan | null;
}

export interface Flight {
  /** In whose turn it waits for the engine. */
  readonly client: string;
  readonly outcome: Promise<Finding>;
  /** Waits for the outcome; rejects with the signal's reason when that comes first. */
  join(signal: AbortSignal): Promise<Finding>;
}

export interface FlightOptions {
  readonly client: string;
  /** Held by the flight itself until the outcome is known, so the request that brought it may leave. */
  readonly body: SpooledBody;
  /** @param signal aborts when the last waiter has left. */
  readonly run: (body: SpooledBody, signal: AbortSignal) => Promise<Finding>;
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

  async function fly(): Promise<Finding> {
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

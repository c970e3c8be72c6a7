/** Holds a client to its limits by the head of its request, and tells it of them: the RateLimit fields, and 429. */

import type { Client } from "../../auth/client.ts";
import type { Admission, Limiter } from "../../auth/limiter.ts";
import type { Route } from "../../core/events.ts";
import { type Answer, type AnswerOptions, answer, type Exchange } from "../../http/answer.ts";
import { declaredBytes } from "../../http/raw.ts";
import { countBytes } from "../../http/request-body.ts";
import { faultAnswer, problemOfLimit } from "./v3/problems.ts";

export interface LimitsOptions extends AnswerOptions {
  readonly limiter: Limiter;
}

/** Whether the request may go on; else it has been answered. A promise only where the client's quota must be asked for. */
export function admit(
  exchange: Exchange,
  { client, ...options }: LimitsOptions & { readonly client: Client },
): boolean | Promise<boolean> {
  const { request, response, route, headers } = exchange;
  const admission = options.limiter.admit(client, declaredBytes(request));
  return admission instanceof Promise ? admission.then(settle) : settle(admission);

  function settle(settled: Admission): boolean {
    if (settled.fields !== null) Object.assign(headers, settled.fields);
    if (settled.kind === "limited") answer(exchange, limitedAnswer(route, settled), options);
    else if (settled.fields !== null) endWithResponse(settled.end);
    return settled.kind !== "limited";
  }

  function endWithResponse(end: (bytes: number) => void): void {
    const bytes = countBytes(request);
    // It may have gone while its quota was asked for.
    if (response.destroyed) end(0);
    else response.once("close", () => end(bytes()));
  }
}

function limitedAnswer(route: Route, limited: Admission & { kind: "limited" }): Answer {
  const headers = { "retry-after": String(limited.retryAfterSeconds), "cache-control": "no-store" };
  const description = `Too many requests: the limits of this client are reached (${limited.violated.join(", ")})`;
  return { ...faultAnswer(route, problemOfLimit(limited), description), headers };
}

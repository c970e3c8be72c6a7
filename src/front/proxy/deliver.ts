/** Sends what has passed, from the very bytes that were scanned: whole, the part that was asked for, or the head alone (P40-P47). */

import type { HeaderLines } from "../../egress/header-lines.ts";
import type { ClientExchange } from "./client-exchange.ts";
import type { Outcome } from "./download.ts";
import { type CacheResult, preconditionFailed, unsatisfiable } from "./own-answer.ts";
import { type ObjectHeadersOptions, objectHeaders, verdictLines } from "./response-headers.ts";
import type { Selection } from "./selection.ts";

export type Passed = Extract<Outcome, { kind: "passed" }>;

export interface DeliverOptions extends ObjectHeadersOptions {
  readonly cache: CacheResult;
  readonly selection: Selection;
}

/** Nothing has been sent. Rejects where the client goes, or the spool fails; what has begun must be cut then. */
export async function deliverPassed(exchange: ClientExchange, outcome: Passed, options: DeliverOptions): Promise<void> {
  const { head, body } = outcome;
  const { selection } = options;
  const verdict = verdictLines(outcome, options.cache);
  switch (selection.kind) {
    case "failed": {
      const answer = preconditionFailed();
      return await exchange.answer(answer.status, answer.body, answer.lines);
    }
    case "unsatisfiable": {
      const answer = unsatisfiable(body.size);
      return await exchange.answer(answer.status, answer.body, answer.lines);
    }
    case "whole":
      exchange.begin(head.status, [...objectHeaders(head, body.size, options), ...verdict]);
      return await sendBody(exchange, outcome, 0, body.size);
    case "part": {
      const { start, end } = selection;
      const place = ["Content-Range", `bytes ${start}-${end - 1}/${body.size}`];
      exchange.begin(206, [...objectHeaders(head, end - start, options), ...place, ...verdict]);
      return await sendBody(exchange, outcome, start, end);
    }
  }
}

/** The head of an answer that has no body. */
export function deliverBodiless(exchange: ClientExchange, head: Outcome["head"], lines: HeaderLines): void {
  exchange.begin(head.status, lines);
  exchange.end();
}

/** To the end of the response. */
export async function sendBody(exchange: ClientExchange, { body }: Passed, start: number, end: number): Promise<void> {
  // What is in memory is of the body itself.
  const isRead = body.bytes === null;
  for await (const chunk of body.read({ start, end })) await (isRead ? exchange.sendOwn([chunk]) : exchange.send([chunk]));
  exchange.end();
}

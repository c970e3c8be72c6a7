/** Begins few requests of HTTP/2 in a turn of the event loop, one session's after another's: a hundred that come at once hold nobody else up. */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Http2ServerResponse, Http2Session } from "node:http2";

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: Http2Response;
}

/** The compatibility layer's responses fit an HTTP/1.1 handler. */
type Http2Response = ServerResponse & Pick<Http2ServerResponse, "stream">;

/** Of all sessions together: a few milliseconds' work. New connections wait for each turn, as Node accepts one in each (node 26.10). */
const perTurn = 16;

interface Line {
  readonly session: Http2Session;
  readonly waiting: Exchange[];
}

/** What its client resets before its turn is never begun: a rapid reset is cheap for clients alone otherwise (CVE-2023-44487). */
export function sessionTurns(handler: RequestListener): (request: IncomingMessage, response: Http2Response) => void {
  /** Of the sessions that have had a request begun, until a turn finds none waiting. */
  const lines = new Map<Http2Session, Line>();
  /** The same, in the order of their turns. */
  const order: Line[] = [];

  function turn(): void {
    for (let begun = 0; begun < perTurn; ) {
      const line = order.shift();
      if (line === undefined) return;
      const exchange = nextOf(line);
      if (exchange === undefined) {
        lines.delete(line.session);
        continue;
      }
      order.push(line);
      begun += 1;
      handler(exchange.request, exchange.response);
    }
    setImmediate(turn);
  }

  return (request, response) => {
    const { session, destroyed } = response.stream;
    if (session === undefined || destroyed) return; // it was reset before it was handed over
    const known = lines.get(session);
    if (known !== undefined) return void known.waiting.push({ request, response });
    const line = { session, waiting: [] };
    lines.set(session, line);
    if (order.push(line) === 1) setImmediate(turn);
    handler(request, response);
  };
}

function nextOf({ waiting }: Line): Exchange | undefined {
  const next = waiting.findIndex(({ response }) => !response.stream.destroyed);
  const exchange = waiting[next];
  waiting.splice(0, next < 0 ? waiting.length : next + 1);
  return exchange;
}

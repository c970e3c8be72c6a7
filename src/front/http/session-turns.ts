/** Begins few requests of HTTP/2 in a turn of the event loop, one session's after another's: a hundred that come at once hold nobody else up. */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Http2ServerResponse, Http2Session } from "node:http2";

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: Http2Response;
}

/** The compatibility layer's responses fit an HTTP/1.1 handler. */
type Http2Response = ServerResponse & Pick<Http2ServerResponse, "stream">;

/** Of all sessions together, unless more of them wait: then one of each. A few milliseconds' work. */
const perTurn = 16;

/** What its client resets before its turn is never begun: a rapid reset is cheap for clients alone otherwise (CVE-2023-44487). */
export function sessionTurns(handler: RequestListener): (request: IncomingMessage, response: Http2Response) => void {
  /** What waits, of the sessions that have had a request begun in this turn. */
  const lines = new Map<Http2Session, Exchange[]>();

  function turn(): void {
    for (let begun = 0; begun < perTurn && lines.size > 0; ) {
      for (const [session, line] of lines) {
        const next = line.findIndex(({ response }) => !response.stream.destroyed);
        const exchange = line[next];
        line.splice(0, next < 0 ? line.length : next + 1);
        begun += 1;
        if (exchange === undefined) lines.delete(session);
        else handler(exchange.request, exchange.response);
      }
    }
    if (lines.size > 0) setImmediate(turn);
  }

  return (request, response) => {
    const { session, destroyed } = response.stream;
    if (session === undefined || destroyed) return; // it was reset before it was handed over
    const line = lines.get(session);
    if (line !== undefined) return void line.push({ request, response });
    if (lines.size === 0) setImmediate(turn);
    lines.set(session, []);
    handler(request, response);
  };
}

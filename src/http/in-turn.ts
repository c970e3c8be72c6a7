/**
 * Has the requests of one HTTP/1 connection handled one at a time, so that a client which sends ahead and reads nothing is owed one
 * answer; those of HTTP/2 in turn with other clients', few in a turn of the event loop: a hundred that come at once hold nobody else up.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Http2ServerResponse, type Http2Session } from "node:http2";
import type { Duplex } from "node:stream";
import { resetConnection } from "./connections.ts";

export interface Turns {
  /** Calls the handler when the answer to the request before has been taken. HTTP/2 has streams for that: see `sessionTurns`. */
  readonly listener: RequestListener;
  /**
   * Answers what is no request, behind the answers that are owed: sooner it would be taken for one of them.
   * @param answer writes to the socket and ends it.
   */
  refuse(socket: Duplex, answer: () => void): void;
}

interface Turn {
  /** Null for what is no request. */
  readonly exchange: { readonly request: IncomingMessage; readonly response: ServerResponse } | null;
  readonly begin: () => void;
}

/** Requests that a client may send ahead, three times what apt does. They wait unread; one more costs it the connection. */
const maxWaiting = 32;

export function inTurn(handler: RequestListener): Turns {
  /** What is being answered, and what waits behind it. No entry for a connection that owes nothing. */
  const lines = new WeakMap<Duplex, Turn[]>();
  const http2 = sessionTurns(handler);

  function join(socket: Duplex, turn: Turn): void {
    const line = lines.get(socket);
    if (line === undefined) {
      lines.set(socket, [turn]);
      turn.begin();
    } else if (line.length <= maxWaiting) line.push(turn);
    else {
      stopParsing(socket);
      socket.destroy();
    }
  }

  function next(socket: Duplex): void {
    const line = lines.get(socket);
    line?.shift();
    const [turn] = line ?? [];
    if (turn === undefined || socket.destroyed) lines.delete(socket);
    else turn.begin();
  }

  return {
    listener(request, response) {
      if (response instanceof Http2ServerResponse) return http2(request, response);
      const { socket } = request;
      const begin = () => {
        response.once("close", () => next(socket));
        handler(request, response);
      };
      join(socket, { exchange: { request, response }, begin });
    },

    refuse(socket, answer) {
      const line = lines.get(socket);
      const last = line?.at(-1)?.exchange ?? null;
      if (line === undefined || last === null || last.request.complete) join(socket, { exchange: null, begin: answer });
      else if (last.response.headersSent) resetConnection(last.request.socket);
      // The fault is in the body of that request, so the answer is its answer.
      else if (line.length === 1) answer();
      else line.splice(-1, 1, { exchange: null, begin: answer });
    },
  };
}

/**
 * Node parses what it has read to its end, destroyed or not, and makes an error with a stack for each request in it: 1,400 heads in
 * 64 KiB cost 0.1 s (node 26.10). 2 is what its parser takes for an upgrade, behind which there is no HTTP any more.
 */
function stopParsing(socket: Duplex & { parser?: { onIncoming?: () => number } | null }): void {
  if (socket.parser?.onIncoming !== undefined) socket.parser.onIncoming = () => 2;
}

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

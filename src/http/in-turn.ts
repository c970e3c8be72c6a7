/** Has the requests of one HTTP/1 connection handled one at a time, so that a client which sends ahead and reads nothing is owed one answer; those of HTTP/2 in turn with other clients'. */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";
import { resetConnection } from "./reset-connection.ts";
import { sessionTurns } from "./session-turns.ts";

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

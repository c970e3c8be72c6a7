/** Cuts clients that do not take their answers: each would be held for them for as long as they like. */

import { constants, Http2ServerResponse } from "node:http2";
import type { Server } from "node:net";
import { ActiveSet } from "../core/active-set.ts";
import type { RawRequest, RawResponse } from "./raw.ts";
import { resetConnection } from "./reset-connection.ts";

/** Counted in looks, not by the clock: what the process itself stands still is not held against a client. */
const looks = 4;

/**
 * @param server emits `request`, of either version.
 * @param patienceMs from the end of an answer until its client has taken it whole, a quarter more at most.
 */
export function cutUnreadAnswers(server: Server, patienceMs: number): void {
  const open = new ActiveSet<{ readonly request: RawRequest; readonly response: RawResponse; seen: number }>();
  server.on("request", (request: RawRequest, response: RawResponse) => {
    response.once("close", open.add({ request, response, seen: 0 }));
  });
  const timer = setInterval(() => {
    for (const answer of open.items()) {
      const { request, response } = answer;
      if (!response.writableEnded || waitsItsTurn(response)) continue;
      answer.seen += 1;
      if (answer.seen > looks) cut(request, response);
    }
  }, patienceMs / looks);
  timer.unref();
  server.on("close", () => clearInterval(timer));
}

/** HTTP/1: an answer to a request that was sent ahead has no socket before those to the requests before it have been taken. */
function waitsItsTurn(response: RawResponse): boolean {
  return !(response instanceof Http2ServerResponse) && response.socket === null;
}

/** Of HTTP/2 the stream alone, as others of its connection may be read. Not CANCEL: node would keep that until the client has read something. */
function cut(request: RawRequest, response: RawResponse): void {
  if (response instanceof Http2ServerResponse) response.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  else resetConnection(request.socket);
}

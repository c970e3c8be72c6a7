/** Ends HTTP/2 connections on which nothing happens, as Node itself ends those of HTTP/1.1. */

import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";

/** @param idleMs without a byte in either direction and without a request that waits for its answer. */
export function endWhenIdle(session: ServerHttp2Session, idleMs: number): void {
  let open = 0;
  session.on("stream", (stream: ServerHttp2Stream) => {
    open += 1;
    stream.once("close", () => {
      open -= 1;
    });
  });
  // Each time: what is given to setTimeout itself hears the first one only.
  session.on("timeout", () => {
    if (open === 0) session.close();
  });
  session.setTimeout(idleMs);
}

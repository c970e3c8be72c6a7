/** Ends HTTP/2 connections on which nothing happens, as Node itself ends those of HTTP/1.1. */

import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";

/** How long a client may take to hang up, once it has been told that its connection ends. */
const goodbyeMs = 2_000;

/** @param idleMs without a byte in either direction and without a request that waits for its answer. */
export function endWhenIdle(session: ServerHttp2Session, idleMs: number): void {
  let open = 0;
  session.on("stream", (stream: ServerHttp2Stream) => {
    open += 1;
    stream.once("close", () => {
      open -= 1;
    });
  });
  const end = () => {
    if (open === 0) session.close();
  };
  // Each time: what is given to setTimeout itself hears the first one only.
  session.on("timeout", () => {
    // When the event loop was held up, timers come before the request that has been waiting for it.
    if (open === 0) setImmediate(end);
  });
  session.setTimeout(idleMs);
  // Node waits for the client's end of a connection that it has ended itself, for however long that takes (node 26.10).
  session.socket.once("finish", function (this: Socket) {
    const timer = setTimeout(() => this.destroy(), goodbyeMs);
    this.once("close", () => clearTimeout(timer));
  });
}

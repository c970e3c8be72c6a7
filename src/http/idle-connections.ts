/** Ends connections that have been idle for too long, of either version, but none whose next request has come already. */

import type { EventEmitter } from "node:events";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";

/**
 * In the place of Node's own end of them: when the event loop was held up, timers come before the requests that have been waiting for it,
 * and a client whose request is met by a reset may not send it again.
 * @param server emits `timeout` for its sockets, and leaves them to whoever listens.
 */
export function endIdleConnections(server: EventEmitter): void {
  server.on("timeout", (socket: Socket) => {
    const { bytesRead } = socket;
    setImmediate(() => {
      if (socket.bytesRead === bytesRead) socket.destroy();
    });
  });
}

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

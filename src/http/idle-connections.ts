/** Ends HTTP/1 connections that have been idle for too long, but none whose next request has come already. */

import type { EventEmitter } from "node:events";
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

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/**
 * Ends a connection at once, so that nobody takes what was sent for a whole: by a reset (RST), over TLS without its close_notify, as
 * Node can reset no TLS connection and throws.
 * Between `end()` and the shutdown it asks for, `resetAndDestroy()` fails with EINVAL and its descriptor stays open for good (node 26.10): it waits for that moment to pass.
 */
export function resetConnection(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else if (isShuttingDown(socket)) setImmediate(() => resetConnection(socket));
  else socket.resetAndDestroy();
}

function isShuttingDown(socket: Socket): boolean {
  return !socket.destroyed && socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}

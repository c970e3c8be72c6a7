import type { Socket } from "node:net";

/**
 * Resets a connection (RST), so that nobody takes what was sent for a whole.
 * Between `end()` and the shutdown it asks for, `resetAndDestroy()` fails with EINVAL and its descriptor stays open for good (node 26.10): it waits for that moment to pass.
 */
export function resetConnection(socket: Socket): void {
  if (isShuttingDown(socket)) setImmediate(() => resetConnection(socket));
  else socket.resetAndDestroy();
}

function isShuttingDown(socket: Socket): boolean {
  return !socket.destroyed && socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}

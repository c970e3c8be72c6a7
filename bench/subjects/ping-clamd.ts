/** Asks a clamd whether it listens. */

import { connect } from "node:net";

/** Null while it does not. */
export function pingClamd(socketPath: string): Promise<true | null> {
  return new Promise((resolve) => {
    const socket = connect({ path: socketPath }, () => socket.write("zPING\0"));
    socket.once("error", () => resolve(null));
    socket.once("data", (reply) => {
      socket.destroy();
      resolve(reply.toString() === "PONG\0" ? true : null);
    });
    socket.once("end", () => resolve(null));
  });
}

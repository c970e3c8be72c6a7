/** Whether anybody takes connections at a port of loopback. */

import { once } from "node:events";
import { connect } from "node:net";

export async function accepts(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false; // not yet, or not any more
  } finally {
    socket.destroy();
  }
}

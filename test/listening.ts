/** A test's server on loopback. */

import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";

/** Has it listen on a free port of loopback, which is returned. */
export async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port; // it listens on TCP
}

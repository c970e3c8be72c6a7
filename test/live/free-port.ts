/** A port that nobody listens on, for programs that cannot be told to take any. Somebody else may take it first. */

import { once } from "node:events";
import { createServer } from "node:net";
import { listening } from "../listening.ts";

export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  server.close();
  await once(server, "close");
  return port;
}

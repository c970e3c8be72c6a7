/** An honest origin: what lies on its shelf is served byte for byte, with its length. */

import { once } from "node:events";
import { createServer } from "node:http";
import { listening } from "../listening.ts";

export interface Shelf extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** By path. */
  readonly files: Map<string, Uint8Array>;
}

export async function openShelf(): Promise<Shelf> {
  const files = new Map<string, Uint8Array>();
  const server = createServer((request, response) => {
    const bytes = files.get(request.url ?? "");
    response.on("error", () => {}); // the proxy wants no more of it
    if (bytes === undefined) response.writeHead(404, { "content-length": 0 }).end();
    else response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length }).end(bytes);
  });
  const port = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    files,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

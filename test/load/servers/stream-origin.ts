/** An origin of large files: run as a program, it says where it listens. */

import { createServer } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { streamBodies, streamBytes } from "./stream-body.ts";

const bodies = streamBodies();

const server = createServer((request, response) => {
  const number = Number(request.url?.slice(1));
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": streamBytes });
  pipeline(Readable.from(bodies(number), { objectMode: false }), response).catch(() => {}); // the proxy wants no more of it
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`listening on http://127.0.0.1:${address.port}`);
});
process.on("SIGTERM", () => process.exit());

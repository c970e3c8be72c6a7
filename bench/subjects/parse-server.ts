/** The yardstick for repeated uploads: a server that takes multipart forms apart and does nothing else. */

import { createServer } from "node:http";
import { Busboy } from "@fastify/busboy";

const answer = '[{"Status":"OK","Description":"","FileName":"body.bin"}]';

const server = createServer((request, response) => {
  const { "content-type": contentType = "" } = request.headers;
  const parser = Busboy({ headers: { ...request.headers, "content-type": contentType } });
  parser.on("file", (_field, stream) => stream.resume());
  parser.on("finish", () => {
    response.writeHead(200, { "content-type": "application/json", "content-length": answer.length });
    response.end(answer);
  });
  request.pipe(parser);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`listening on http://127.0.0.1:${address.port}`);
});
process.on("SIGTERM", () => process.exit());

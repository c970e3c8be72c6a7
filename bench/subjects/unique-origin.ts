/** An origin whose every answer is another file of 1 KiB: nothing that was downloaded from it before tells anything about it. */

import { createServer } from "node:net";
import { makeBodies } from "../load/body.ts";

const bytes = 1024;
const bodies = makeBodies({ kind: "random", bytes, isUnique: true }, process.pid.toString(16).padStart(8, "0"));
const head = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ${bytes}\r\n\r\n`);
const headEnd = "\r\n\r\n";

const server = createServer({ noDelay: true }, (socket) => {
  let received = "";
  socket.on("error", () => {}); // the proxy is done
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    for (let end = received.indexOf(headEnd); end >= 0; end = received.indexOf(headEnd)) {
      received = received.slice(end + headEnd.length);
      socket.write(Buffer.concat([head, ...bodies.next()]));
    }
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`listening on http://127.0.0.1:${address.port}`);
});
process.on("SIGTERM", () => process.exit());

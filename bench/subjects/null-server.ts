/** Answers every request at once, having looked for nothing but its end: shows what the load process costs by itself. */

import { createServer } from "node:net";

const body = '[{"Status":"OK","Description":"","FileName":"body.bin"}]';
const answer = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
const lengthPattern = /\r\ncontent-length: (\d+)/;

const server = createServer({ noDelay: true }, (socket) => {
  let left = 0;
  socket.on("error", () => {}); // the load process is done
  socket.on("data", (chunk: Buffer) => {
    if (left === 0) {
      const end = chunk.indexOf("\r\n\r\n") + 4;
      left = Number(lengthPattern.exec(chunk.toString("latin1", 0, end))?.[1] ?? 0) + end;
    }
    left -= chunk.length;
    if (left === 0) socket.write(answer);
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`listening on http://127.0.0.1:${address.port}`);
});
process.on("SIGTERM", () => process.exit());

/**
 * The yardstick of the hot path: a server that does only what a scan of a small body needs. It takes the form apart, hashes, looks into
 * a Map and asks clamd over two sessions that it keeps. No limits, no errors, no promises kept: never a product.
 */

import { hash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";

const [socketPath = ""] = process.argv.slice(2);
const sessions = [openSession(), openSession()];
const verdicts = new Map<string, string>();
let turn = 0;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = bodyOf(request, chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
    const digest = hash("sha256", body);
    const known = verdicts.get(digest);
    if (known !== undefined) return answer(known);
    turn = (turn + 1) % sessions.length;
    sessions[turn]?.scan(body, (reply) => {
      const verdict = reply.endsWith(": OK") ? "OK" : "FOUND";
      verdicts.set(digest, verdict);
      answer(verdict);
    });
  });

  function answer(verdict: string): void {
    const text = `[{"Status":"${verdict}","Description":"","FileName":"body.bin"}]`;
    response.writeHead(verdict === "OK" ? 200 : 406, { "content-type": "application/json", "content-length": text.length });
    response.end(text);
  }
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`listening on http://127.0.0.1:${address.port}`);
});
process.on("SIGTERM", () => process.exit());

/** The first part of a form; the whole of any other body. */
function bodyOf({ headers }: IncomingMessage, bytes: Buffer): Buffer {
  const boundary = /boundary=(\S+)/.exec(headers["content-type"] ?? "")?.[1];
  if (boundary === undefined) return bytes;
  return bytes.subarray(bytes.indexOf("\r\n\r\n") + 4, bytes.lastIndexOf(`\r\n--${boundary}--`));
}

/** One command at a time; the others wait their turn. */
function openSession(): { scan(body: Buffer, done: (reply: string) => void): void } {
  const socket: Socket = connect({ path: socketPath });
  const waiting: { readonly body: Buffer; readonly done: (reply: string) => void }[] = [];
  let received = "";
  socket.write("zIDSESSION\0");
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    received += text;
    const end = received.indexOf("\0");
    if (end < 0) return;
    const reply = received.slice(0, end);
    received = "";
    waiting.shift()?.done(reply);
    send();
  });

  function send(): void {
    const next = waiting[0];
    if (next === undefined) return;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(next.body.length);
    socket.write(Buffer.concat([Buffer.from("zINSTREAM\0"), length, next.body, Buffer.alloc(4)]));
  }

  return {
    scan(body, done) {
      waiting.push({ body, done });
      if (waiting.length === 1) send();
    },
  };
}

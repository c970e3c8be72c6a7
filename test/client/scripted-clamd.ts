/** A clamd for the library's tests: it answers INSTREAM by what the body holds, or by what a test scripts. */

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

export interface ScriptedClamd extends AsyncDisposable {
  readonly url: string;
  /** Connections that are open now. */
  open(): number;
  /** Connections so far. */
  count(): number;
}

export interface ClamdScript {
  /** What is sent once the body is whole; default: by the body. Null: nothing, ever. */
  readonly reply?: (body: Buffer) => string | null;
  /** Sent as soon as the command has come, and the connection is closed. */
  readonly early?: string;
  /** In place of the close behind a reply. */
  readonly end?: (socket: Socket) => void;
  /** A Unix socket in place of a port of 127.0.0.1. */
  readonly path?: string;
  /** Its key and certificate, where it speaks TLS. */
  readonly tls?: TlsOptions;
}

export async function startScriptedClamd({
  reply = byBody,
  early,
  end = (socket) => void socket.end(),
  path,
  tls,
}: ClamdScript = {}): Promise<ScriptedClamd> {
  const sockets = new Set<Socket>();
  let count = 0;
  const onConnection = (socket: Socket) => {
    count += 1;
    sockets.add(socket);
    socket.on("error", () => {}); // the client may be gone
    socket.on("end", () => socket.end());
    socket.on("close", () => sockets.delete(socket));
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, Buffer.from(chunk)]);
      if (received.indexOf("zVERSION\0") === 0) return void socket.end("ClamAV 1.4.6/27800/Fri Nov 27 09:00:00 2026\0");
      if (early !== undefined) return void socket.end(early);
      const body = bodyIn(received.subarray("zINSTREAM\0".length));
      if (body === null) return;
      const text = reply(body);
      if (text === null) return;
      socket.write(text, () => end(socket));
    });
  };
  const server = tls === undefined ? createServer({ allowHalfOpen: true }, onConnection) : createTlsServer(tls, onConnection);
  if (path === undefined) server.listen(0, "127.0.0.1");
  else server.listen(path);
  await once(server, "listening");
  const { port } = path === undefined ? (server.address() as AddressInfo) : { port: 0 };
  return {
    url: path === undefined ? `${tls === undefined ? "tcp" : "tls"}://127.0.0.1:${port}` : `unix://${path}`,
    open: () => sockets.size,
    count: () => count,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function byBody(body: Buffer): string {
  return body.includes("virus") ? "stream: A.Virus FOUND\0" : "stream: OK\0";
}

/** Null while the chunk of no bytes has not come. */
function bodyIn(chunks: Buffer): Buffer | null {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 4 <= chunks.length; ) {
    const length = chunks.readUInt32BE(at);
    if (length === 0) return Buffer.concat(pieces);
    pieces.push(chunks.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return null;
}

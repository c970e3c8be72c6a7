/** The plain server and the one with TLS, and clients that tell what came over the whole life of a connection. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect, type Server, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { type ListenerLimits, plainServer, secureServer } from "../../src/http/listener.ts";
import { makeCertificate } from "../e2e/certificate.ts";
import { listening } from "../listening.ts";
import { scratchDirectory } from "../scratch-directory.ts";

export interface Listening extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  readonly isSecure: boolean;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const usual = { headersTimeoutMs: 5_000, keepAliveTimeoutMs: 60_000, maxHeaderBytes: 65_536, maxConnections: 0 };

export async function listen(isSecure: boolean, handler: Handler, limits: Partial<ListenerLimits> = {}): Promise<Listening> {
  const all = { ...usual, ...limits };
  const server = isSecure ? secureServer(handler, all, { ...(await certificate()), ca: null }) : plainServer(handler, all);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const port = await listening(server);
  return {
    server,
    port,
    isSecure,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function certificate(): Promise<{ readonly cert: string; readonly key: string }> {
  await using directory = await scratchDirectory();
  const { cert, key } = await makeCertificate(directory.path);
  return { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") };
}

/** A connection that is open, its handshake done; what ends it is no error of its owner's. */
export async function openConnection({ port, isSecure }: Pick<Listening, "port" | "isSecure">): Promise<Socket> {
  const to = { port, host: "127.0.0.1", allowHalfOpen: true };
  const socket = isSecure ? connectTls({ ...to, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] }) : connect(to);
  await once(socket, isSecure ? "secureConnect" : "connect");
  return socket.on("error", () => {});
}

/** All that comes until the server ends it, or cuts it. */
export async function textUntilEnd(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  await new Promise<void>((resolve) => socket.once("end", resolve).once("close", resolve));
  socket.destroy();
  return text;
}

export function openSession({ port, isSecure }: Pick<Listening, "port" | "isSecure">): ClientHttp2Session {
  return connectHttp2(`${isSecure ? "https" : "http"}://127.0.0.1:${port}`, { rejectUnauthorized: false });
}

/** Rejects where the stream or its session is cut. */
export async function getText(session: ClientHttp2Session, path = "/"): Promise<string> {
  return (await buffer(session.request({ ":path": path }))).toString();
}

/** Stands in for an event loop that something holds up: nothing happens in this process meanwhile. */
export function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

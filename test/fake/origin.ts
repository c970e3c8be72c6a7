/** An origin that does what a test scripts, down to single bytes: most of what it does no HTTP server would. */

import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";

/** What the fake does with one request. */
export type OriginAct =
  /** Sends the pieces, each in a write of its own and once it is there, then does what `after` says. */
  | {
      readonly kind: "send";
      readonly pieces: readonly (string | Uint8Array | Promise<string | Uint8Array>)[];
      readonly after: "keep" | "end" | "reset" | "stall";
    }
  /** Sends the head, then one byte each time until the connection goes. */
  | { readonly kind: "drip"; readonly head: string; readonly everyMs: number }
  /** Sends the head, then chunks as fast as they are taken, for ever. */
  | { readonly kind: "flood"; readonly head: string; readonly chunk: Uint8Array };

export interface OriginRequest {
  readonly method: string;
  /** As it stood in the request line. */
  readonly path: string;
  /** Lines as received, bytes as Latin-1 characters. */
  readonly lines: readonly string[];
  /** The value of a header, by its name in lower case. */
  header(name: string): string | undefined;
  /** How many requests this connection has brought before. */
  readonly earlier: number;
}

export interface FakeOrigin extends AsyncDisposable {
  readonly port: number;
  readonly requests: readonly OriginRequest[];
  /** Connections accepted so far, and those open now. */
  accepted(): number;
  open(): number;
  /** Bytes of bodies that a flood has written. */
  flooded(): number;
  /** Resolves when no connection is open. */
  idle(): Promise<void>;
}

export interface FakeOriginOptions {
  /** Default: 127.0.0.1. */
  readonly host?: "127.0.0.1" | "::1";
  readonly tls?: { readonly cert: string; readonly key: string };
}

type Script = (request: OriginRequest) => OriginAct | Promise<OriginAct>;

export const keep = (...pieces: (string | Uint8Array)[]): OriginAct => ({ kind: "send", pieces, after: "keep" });
export const end = (...pieces: (string | Uint8Array)[]): OriginAct => ({ kind: "send", pieces, after: "end" });
export const reset = (...pieces: (string | Uint8Array)[]): OriginAct => ({ kind: "send", pieces, after: "reset" });
export const stall = (...pieces: (string | Uint8Array)[]): OriginAct => ({ kind: "send", pieces, after: "stall" });

/** A whole, honest answer. */
export function ok(body: string | Uint8Array, ...lines: string[]): OriginAct {
  return keep(head(200, `Content-Length: ${Buffer.byteLength(body)}`, ...lines), body);
}

export function redirect(status: number, location: string): OriginAct {
  return keep(head(status, `Location: ${location}`, "Content-Length: 0"));
}

export function head(status: number, ...lines: string[]): string {
  return [`HTTP/1.1 ${status} X`, ...lines, "", ""].join("\r\n");
}

export async function startFakeOrigin(script: Script, { host = "127.0.0.1", tls }: FakeOriginOptions = {}): Promise<FakeOrigin> {
  const sockets = new Set<Socket>();
  const requests: OriginRequest[] = [];
  const state = { accepted: 0, flooded: 0, onIdle: [] as (() => void)[], raw: new Map<number | undefined, Socket>() };
  const serve = async (socket: Socket) => {
    sockets.add(socket);
    state.accepted += 1;
    socket.on("error", () => {}); // the gateway may cut it
    socket.on("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) for (const tell of state.onIdle.splice(0)) tell();
    });
    let earlier = 0;
    try {
      for await (const request of requestsOf(socket)) {
        const seen = { ...request, earlier };
        requests.push(seen);
        earlier += 1;
        await act(socket, await script(seen), state);
      }
    } catch {
      // the gateway has cut it
    }
  };
  const server: Server =
    tls === undefined ? createServer({ allowHalfOpen: true, noDelay: true }, serve) : createTlsServer(tls, serve);
  // A TLS socket cannot be reset; the one under it can.
  server.on("connection", (socket) => {
    const port = socket.remotePort;
    state.raw.set(port, socket);
    socket.on("close", () => state.raw.delete(port));
  });
  server.on("tlsClientError", () => {}); // a client that does not trust us
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on TCP");
  return {
    port: address.port,
    requests,
    accepted: () => state.accepted,
    open: () => sockets.size,
    flooded: () => state.flooded,
    idle: () => (sockets.size === 0 ? Promise.resolve() : new Promise((resolve) => state.onIdle.push(resolve))),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function* requestsOf(socket: Socket): AsyncGenerator<Omit<OriginRequest, "earlier">> {
  let text = "";
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString("latin1");
    for (;;) {
      const blank = text.indexOf("\r\n\r\n");
      if (blank < 0) break;
      const [line = "", ...lines] = text.slice(0, blank).split("\r\n");
      text = text.slice(blank + 4);
      const [method = "", path = ""] = line.split(" ");
      const header = (name: string) =>
        lines
          .find((candidate) => candidate.toLowerCase().startsWith(`${name}:`))
          ?.slice(name.length + 1)
          .trim();
      yield { method, path, lines, header };
    }
  }
}

interface State {
  flooded: number;
  /** Connections by the client's port. */
  readonly raw: ReadonlyMap<number | undefined, Socket>;
}

async function act(socket: Socket, what: OriginAct, state: State): Promise<void> {
  switch (what.kind) {
    case "send":
      for (const piece of what.pieces) {
        socket.write(await piece, "latin1");
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (what.after === "end") socket.end();
      if (what.after === "reset") await resetWhenSent(socket, state.raw.get(socket.remotePort) ?? socket);
      return;
    case "drip": {
      socket.write(what.head);
      const timer = setInterval(() => socket.write("x"), what.everyMs);
      socket.once("close", () => clearInterval(timer));
      return;
    }
    case "flood":
      socket.write(what.head);
      while (!socket.destroyed) {
        state.flooded += what.chunk.length;
        const isRoom = socket.write(what.chunk);
        const { promise, resolve } = Promise.withResolvers<void>();
        if (isRoom) setImmediate(resolve);
        else socket.once("drain", resolve).once("close", resolve);
        await promise;
        socket.off("drain", resolve).off("close", resolve);
      }
  }
}

/** A reset discards what has not been sent. */
async function resetWhenSent(socket: Socket, raw: Socket): Promise<void> {
  while (socket.writableLength > 0) await new Promise((resolve) => setImmediate(resolve));
  raw.resetAndDestroy();
}
